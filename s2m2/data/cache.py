"""Where datasets that were drawn or downloaded are kept."""

import os
from pathlib import Path

import platformdirs

CACHE_VARIABLE = "S2M2_CACHE"


def user_cache() -> Path:
    """The folder in the environment variable S2M2_CACHE, else the user's cache folder."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named).expanduser() if named else platformdirs.user_cache_path("s2m2")

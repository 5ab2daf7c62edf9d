# shim
from s2m2.runs.logging import POSITION as PLACE  # noqa: F401
from s2m2.runs.logging import Kind  # noqa: F401

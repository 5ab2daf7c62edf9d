# shim
from s2m2.io import create_folder as appearing  # noqa: F401
from s2m2.io import replace_file as replacing  # noqa: F401
from s2m2.io import sync_folder, write_text  # noqa: F401

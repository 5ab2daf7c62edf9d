# shim
from s2m2.runs.importing import ReleasedCheckpoint, first_bytes, is_torch_file, read_released  # noqa: F401

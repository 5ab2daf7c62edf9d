# shim
from s2m2.recipe.command_settings import NAME_PLACEHOLDER as NAME  # noqa: F401
from s2m2.recipe.command_settings import DoctorConfig as DoctorConfig

# shim
from s2m2.recipe.commands import NAME_PLACEHOLDER as NAME  # noqa: F401
from s2m2.recipe.commands import DoctorConfig as DoctorConfig

# shim
from s2m2.recipe.command_settings import CompareConfig as CompareConfig

# shim
from s2m2.recipe.command_settings import ImportConfig as ImportConfig

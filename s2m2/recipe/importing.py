# shim
from s2m2.recipe.commands import ImportConfig as ImportConfig

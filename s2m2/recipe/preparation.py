# shim
from s2m2.recipe.commands import PrepareConfig as PrepareConfig

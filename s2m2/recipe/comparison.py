# shim
from s2m2.recipe.commands import CompareConfig as CompareConfig

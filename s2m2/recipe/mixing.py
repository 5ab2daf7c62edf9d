# shim
from s2m2.recipe.training import MixConfig as MixConfig

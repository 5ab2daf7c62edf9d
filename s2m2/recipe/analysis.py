# shim
from s2m2.recipe.commands import AnalyzeConfig as AnalyzeConfig

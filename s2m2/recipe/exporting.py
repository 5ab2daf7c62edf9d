# shim
from s2m2.recipe.commands import ExportConfig as ExportConfig
from s2m2.recipe.commands import Precision as Precision

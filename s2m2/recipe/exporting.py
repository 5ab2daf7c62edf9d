# shim
from s2m2.recipe.command_settings import ExportConfig as ExportConfig
from s2m2.recipe.command_settings import Precision as Precision

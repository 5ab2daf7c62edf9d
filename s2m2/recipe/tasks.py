# shim
from s2m2.recipe.evaluation import ProtocolName as ProtocolName

# shim
from s2m2.models.layers import evaluation_mode as evaluation_mode

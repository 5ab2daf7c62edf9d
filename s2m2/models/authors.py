# shim
from s2m2.models.released import ReleasedWeights as ReleasedWeights
from s2m2.models.released import translate as translate

# shim
from s2m2.evaluation.feature_files import read_released_features as read_released_features

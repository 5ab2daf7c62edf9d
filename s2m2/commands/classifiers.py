# shim
from s2m2.evaluation.scoring import PreparedFeatures as ClassifierFeatures  # noqa: F401
from s2m2.evaluation.scoring import base_is_needed as base_is_needed
from s2m2.evaluation.scoring import prepare_features as prepare_features

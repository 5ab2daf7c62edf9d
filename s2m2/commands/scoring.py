# shim
from s2m2.evaluation.scoring import EvaluatedFeatures as Scored  # noqa: F401
from s2m2.evaluation.scoring import score_all as score_all
from s2m2.evaluation.scoring import task_sources as task_sources
from s2m2.evaluation.scoring import task_specs as task_specs
from s2m2.evaluation.scoring import warn_of_balance as warn_of_balance

# shim
from s2m2.evaluation.compare import TASK_FIELDS as TASK_FIELDS
from s2m2.evaluation.compare import Comparison as Comparison
from s2m2.evaluation.compare import compare_results as compare_results
from s2m2.evaluation.compare import different_field as different_field
from s2m2.evaluation.compare import task_key as task_key

"""Measure a frozen backbone: features, few-shot classifiers on them, and accuracies with their intervals."""

from s2m2.evaluation.api import compare as compare
from s2m2.evaluation.api import evaluate as evaluate

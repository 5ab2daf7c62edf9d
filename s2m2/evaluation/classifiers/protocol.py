# shim
from s2m2.classifiers.base import ScoresTasks as FewShotClassifier

__all__ = ["FewShotClassifier"]

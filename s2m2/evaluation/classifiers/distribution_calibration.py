# shim
from s2m2.classifiers.calibrated import DistributionCalibration

__all__ = ["DistributionCalibration"]

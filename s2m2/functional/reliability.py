# shim
from s2m2.evaluation.calibration import BINS as BINS
from s2m2.evaluation.calibration import calibration_error as calibration_error
from s2m2.evaluation.calibration import reliability_bins as reliability_bins

# shim
# ruff: noqa
from s2m2.analysis.measurements import ANALYSIS_FORMAT as ANALYSIS_FORMAT  # noqa: F401
from s2m2.analysis.measurements import Analysis as Analysis  # noqa: F401
from s2m2.analysis.measurements import StageAnalysis as StageAnalysis  # noqa: F401
from s2m2.analysis.measurements import StageName as StageName  # noqa: F401
from s2m2.analysis.measurements import TRAINED as TRAINED  # noqa: F401
from s2m2.analysis.measurements import load_analysis as load_analysis  # noqa: F401
from s2m2.analysis.measurements import save_analysis as save_analysis  # noqa: F401
__all__ = ['ANALYSIS_FORMAT', 'Analysis', 'StageAnalysis', 'StageName', 'TRAINED', 'load_analysis', 'save_analysis']

# shim
from s2m2.analysis.measurements import (
    ANALYSIS_FORMAT,  # noqa: F401
    TRAINED,  # noqa: F401
    Analysis,  # noqa: F401
    StageAnalysis,  # noqa: F401
    StageName,  # noqa: F401
    load_analysis,  # noqa: F401
    save_analysis,  # noqa: F401
)

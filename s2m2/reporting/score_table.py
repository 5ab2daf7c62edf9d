# shim
# ruff: noqa
from s2m2.reports.scores import CLASSIFIERS as CLASSIFIERS  # noqa: F401
from s2m2.reports.scores import FEATURES as STAGES  # noqa: F401
from s2m2.reports.scores import ScoreGrid as ScoreGrid  # noqa: F401
from s2m2.reports.scores import ScoreRow as ScoreRow  # noqa: F401
from s2m2.reports.scores import latest_of_kind as latest_of_kind  # noqa: F401
from s2m2.reports.scores import newest_results as newest_results  # noqa: F401
from s2m2.reports.scores import paired_change as paired_change  # noqa: F401
from s2m2.reports.scores import percent as percent  # noqa: F401
from s2m2.reports.scores import percent_both as percent_both  # noqa: F401
from s2m2.reports.scores import score_grids as score_grids  # noqa: F401
from s2m2.reports.scores import score_table as score_table  # noqa: F401
from s2m2.reports.scores import task_label as task_label  # noqa: F401
__all__ = ['CLASSIFIERS', 'STAGES', 'ScoreGrid', 'ScoreRow', 'latest_of_kind', 'newest_results', 'paired_change', 'percent', 'percent_both', 'score_grids', 'score_table', 'task_label']

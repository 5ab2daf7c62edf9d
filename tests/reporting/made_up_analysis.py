# shim
from tests.reports.made_up_analysis import *  # noqa: F403

# shim
from tests.reports.made_up import *  # noqa: F403

# shim
# ruff: noqa
from s2m2.reports.images import HardTaskTiles as DrawnHardTask  # noqa: F401
from s2m2.reports.images import WayTiles as DrawnWay  # noqa: F401
from s2m2.reports.images import thumbnail as thumbnail  # noqa: F401
__all__ = ['DrawnHardTask', 'DrawnWay', 'thumbnail']

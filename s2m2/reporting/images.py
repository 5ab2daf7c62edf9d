# shim
# ruff: noqa
from s2m2.reports.images import ClassTiles as ClassTiles  # noqa: F401
from s2m2.reports.images import DrawnTask as DrawnTask  # noqa: F401
from s2m2.reports.images import ImageOf as ImageOf  # noqa: F401
from s2m2.reports.images import SplitSample as SplitSample  # noqa: F401
from s2m2.reports.images import Tile as Tile  # noqa: F401
from s2m2.reports.images import WayTiles as TaskRow  # noqa: F401
from s2m2.reports.images import framed as framed  # noqa: F401
from s2m2.reports.images import image_tile as image_tile  # noqa: F401
from s2m2.reports.images import resized as resized  # noqa: F401
from s2m2.reports.images import sample_splits as sample_splits  # noqa: F401
from s2m2.reports.images import task_tiles as draw_task  # noqa: F401
__all__ = ['ClassTiles', 'DrawnTask', 'ImageOf', 'SplitSample', 'TaskRow', 'Tile', 'draw_task', 'framed', 'image_tile', 'resized', 'sample_splits']

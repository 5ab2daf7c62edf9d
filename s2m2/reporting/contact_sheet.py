# shim
# ruff: noqa
from s2m2.reports.dataset_page import ClassStrip as ClassStrip  # noqa: F401
from s2m2.reports.dataset_page import class_strips as class_strips  # noqa: F401
from s2m2.reports.dataset_page import image_strip as draw_strip  # noqa: F401
__all__ = ['ClassStrip', 'class_strips', 'draw_strip']

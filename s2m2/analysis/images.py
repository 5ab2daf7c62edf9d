# shim
# ruff: noqa
from s2m2.analysis.network import AnalyzedImages as AnalyzedImages  # noqa: F401
from s2m2.analysis.network import ImageSample as Chosen  # noqa: F401
from s2m2.analysis.network import choose_images as choose_images  # noqa: F401
from s2m2.analysis.network import sample_by_class as draw_by_class  # noqa: F401
from s2m2.analysis.network import sample_positions as draw_some  # noqa: F401
__all__ = ['AnalyzedImages', 'Chosen', 'choose_images', 'draw_by_class', 'draw_some']

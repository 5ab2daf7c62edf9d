# shim
from s2m2.analysis.network import (
    AnalyzedImages,  # noqa: F401
    choose_images,  # noqa: F401
)
from s2m2.analysis.network import ImageSample as Chosen  # noqa: F401
from s2m2.analysis.network import sample_by_class as draw_by_class  # noqa: F401
from s2m2.analysis.network import sample_positions as draw_some  # noqa: F401

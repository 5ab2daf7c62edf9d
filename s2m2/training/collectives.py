# shim
from s2m2.training.distributed import gather_images as gather_images
from s2m2.training.distributed import join_interleaved as join_rows

__all__ = ["gather_images", "join_rows"]

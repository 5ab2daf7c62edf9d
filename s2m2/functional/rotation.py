# shim
from s2m2.selfsupervision import ROTATIONS as ROTATIONS
from s2m2.selfsupervision import rotate90 as rot90  # noqa: F401
from s2m2.selfsupervision import rotate90_batch as all_rotations  # noqa: F401
from s2m2.selfsupervision import rotation_loss as rotation_loss

# shim
from s2m2.mixup import Mix as Mix
from s2m2.mixup import sample_partners as draw_partners  # noqa: F401
from s2m2.mixup import sample_partners_of_class as draw_partners_of_class  # noqa: F401
from s2m2.mixup import soft_binary_cross_entropy as soft_binary_cross_entropy
from s2m2.mixup import soft_cross_entropy as soft_cross_entropy

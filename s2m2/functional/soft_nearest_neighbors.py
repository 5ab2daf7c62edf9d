# shim
# ruff: noqa
from s2m2.analysis.geometry import MinLoss as LeastLoss  # noqa: F401
from s2m2.analysis.geometry import min_soft_nearest_neighbor_loss as least_soft_nearest_neighbor_loss  # noqa: F401
from s2m2.analysis.geometry import singletons as alone  # noqa: F401
from s2m2.analysis.geometry import soft_nearest_neighbor_loss as soft_nearest_neighbor_loss  # noqa: F401
from s2m2.analysis.geometry import squared_distances as squared_distances  # noqa: F401
__all__ = ['LeastLoss', 'alone', 'least_soft_nearest_neighbor_loss', 'soft_nearest_neighbor_loss', 'squared_distances']

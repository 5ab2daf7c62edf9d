# shim
from s2m2.training.optim import build_optimizer as build_optimizer
from s2m2.training.optim import set_learning_rate as set_learning_rate

__all__ = ["build_optimizer", "set_learning_rate"]

# shim
from s2m2.training.objectives import sample_step_mix as draw_mix

__all__ = ["draw_mix"]

"""Adam for a batch of tasks, from gradients in closed form."""

import torch
from jaxtyping import Float
from torch import Tensor

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
"""Of Algorithm 1, as Kingma & Ba recommend and `torch.optim.Adam` has them."""


class Adam:
    """Changes parameters in place by Algorithm 1 of Kingma & Ba (ICLR 2015).

    It is element-wise, so tasks in one tensor stay apart, but a rotation of the parameters changes its steps. With `classwise`, the last
    axis has one average of squared gradients, that of their mean square, and rotated parameters take rotated steps.
    """

    def __init__(self, parameters: Float[Tensor, "*axes dim"], learning_rate: float, *, classwise: bool = False) -> None:
        self.parameters, self.learning_rate, self.classwise, self.steps = parameters, learning_rate, classwise, 0
        self.mean, self.square = torch.zeros_like(parameters), torch.zeros_like(parameters[..., :1] if classwise else parameters)

    def step(self, gradients: Float[Tensor, "*axes dim"]) -> None:
        """One step; the corrections of both averages for their start at 0 are folded into its length and into epsilon."""
        self.steps += 1
        correction = (1 - BETA2**self.steps) ** 0.5
        self.mean.lerp_(gradients, 1 - BETA1)
        if self.classwise:
            self.square.mul_(BETA2).add_(gradients.square().mean(-1, keepdim=True), alpha=1 - BETA2)
        else:
            self.square.mul_(BETA2).addcmul_(gradients, gradients, value=1 - BETA2)
        roots = self.square.sqrt().add_(EPSILON * correction)
        self.parameters.addcdiv_(self.mean, roots, value=-self.learning_rate * correction / (1 - BETA1**self.steps))

"""Linear support vector machines on the support features of each task."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from s2m2.evaluation.tasks import FewShotTasks
from s2m2.functional.linear import support_span
from s2m2.functional.squared_hinge import fit_squared_hinge
from s2m2.recipe.inductive import SvmConfig


@dataclass(frozen=True, kw_only=True)
class LinearSvm:
    """One machine for each class against the rest, with squared hinge loss: scikit-learn's `LinearSVC`, at its minimum.

    The multi-class machine of Crammer and Singer, which MetaOptNet trains with (Lee et al., CVPR 2019, section 3.2), is here as
    learn2learn's classifier. This one is what users of scikit-learn mean, and its loss is smooth, so Newton's method ends at the minimum.
    As there, the intercept is the weight of a further feature that is 1 everywhere, and is penalized like the others.
    """

    config: SvmConfig

    def __call__(self, tasks: FewShotTasks, generator: torch.Generator) -> Float[Tensor, "task query way"]:
        """Fit, and return the signed values of the queries, which are margins and no logits."""
        span = support_span(tasks.support, centerd=False)
        coefficients = fit_squared_hinge(span.gram + 1, tasks.labels, tasks.ways, inverse_penalty=self.config.inverse_penalty)
        return span.scores(tasks.query, coefficients, coefficients.sum(1))

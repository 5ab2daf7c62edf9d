"""Distribution calibration (Yang, Liu and Xu, Free Lunch for Few-shot Learning, ICLR 2021)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from s2m2.errors import InputError
from s2m2.evaluation.base_statistics import BaseStatistics
from s2m2.evaluation.classifiers.base_noise import BaseNoise
from s2m2.evaluation.classifiers.protocol import FewShotClassifier
from s2m2.evaluation.tasks import FewShotTasks
from s2m2.functional.sampled_logistic import fit_sampled_logistic
from s2m2.recipe.inductive import CalibratedConfig


def distribution_calibration(config: CalibratedConfig, base: BaseStatistics | None, seed: int) -> FewShotClassifier:
    """The classifier with its statistics.

    Args:
        seed: of the noise that tasks share.

    Raises:
        InputError: there are no base features, or fewer base classes than neighbors.
    """
    if base is None or base.class_factors is None:
        raise InputError(
            "classifier calibrated draws on features of the base classes, which are not at hand; --base-features gives those of --features"
        )
    if config.neighbors > len(base.class_means):
        raise InputError(f"--evaluate.calibrated.neighbors is {config.neighbors}, but there are {len(base.class_means)} base classes")
    return DistributionCalibration(config=config, class_means=base.class_means, noise=BaseNoise(base.class_factors, seed))


@dataclass(frozen=True, kw_only=True, eq=False)
class DistributionCalibration:
    """Logistic regression on the support and on features drawn from a Gaussian around each support item.

    Support and query features are first raised to a power (equation 3, Tukey's ladder). With S the k base classes whose means mu_i lie
    nearest to a support item x (equations 4 and 5), the Gaussian has (equation 6)
        mean (x + sum_S mu_i) / (k + 1)  and  covariance sum_S Sigma_i / k + alpha,
    where alpha is added to every entry. The statistics of the base classes (equations 1 and 2) are those of features without the power, as
    in the authors' code.

    A draw is what its distribution is a sum of: mean + sum_S e_i / sqrt(k) + sqrt(alpha) g 1, with e_i from N(0, Sigma_i) and one
    standard normal g. The e_i are rows of noise that all tasks share. A task uses none of them twice, so its draws are independent and
    have exactly this distribution; those of different tasks may have rows in common.

    Tasks are fitted one after the other: the draws of one fill a processor's cache.
    """

    config: CalibratedConfig
    class_means: Float[Tensor, "class dim"]
    noise: BaseNoise

    def __call__(self, tasks: FewShotTasks, generator: torch.Generator) -> Float[Tensor, "task query way"]:
        """Fit, and return the logits of the queries.

        Raises:
            InputError: a feature is negative, and the power is not 1.
        """
        support, query = (_power(features, self.config.power) for features in (tasks.support, tasks.query))
        members = tasks.one_hot().sum(-1).long().gather(1, tasks.labels)
        counts = (self.config.samples // members).clamp(min=1)
        scores = []
        for item, labels, count, asked in zip(support, tasks.labels, counts, query, strict=True):
            drawn = self.draw(item, count, generator)
            known = torch.cat([labels, labels.repeat_interleave(count)])
            weights, intercepts = fit_sampled_logistic(
                torch.cat([item, drawn]), known, tasks.ways, inverse_penalty=self.config.inverse_penalty
            )
            scores.append(torch.addmm(intercepts, asked, weights.T))
        return torch.stack(scores)

    def draw(
        self, support: Float[Tensor, "item dim"], counts: Int64[Tensor, " item"], generator: torch.Generator
    ) -> Float[Tensor, "draw dim"]:
        """As many features around each support item of one task as `counts` says."""
        neighbors = self.config.neighbors
        means = self.class_means.to(support)
        nearest = torch.cdist(support[None], means[None]).squeeze(0).topk(neighbors, largest=False).indices
        centers = (support + means[nearest].sum(1)) / (neighbors + 1)
        start = int(torch.randint(self.noise.rows, (1,), generator=generator, device=generator.device))
        drawn = centers.repeat_interleave(counts, dim=0)
        common = torch.randn(len(drawn), generator=generator, device=generator.device).to(drawn)
        drawn += self.config.spread**0.5 * common[:, None]
        parts, used = drawn.split(counts.tolist()), dict.fromkeys(nearest.flatten().tolist(), start)
        for part, classes in zip(parts, nearest.tolist(), strict=True):
            for number in classes:
                self.noise.add_to(part, number, used[number], neighbors**-0.5)
                used[number] += len(part)
        return drawn


def _power(features: Float[Tensor, "*rows dim"], power: float) -> Float[Tensor, "*rows dim"]:
    if power == 1:
        return features
    if bool((features < 0).any()):
        raise InputError(
            "classifier calibrated takes a power of features, of which some are negative; --evaluate.transforms rectify changes that"
        )
    return features**power

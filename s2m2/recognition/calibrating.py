"""Probabilities, "none of these" and conformal sets, calibrated on few-shot tasks like the user's.

Two kinds of images tell how far scores can be trusted. Tasks with as many classes and images a class as the user's are sampled from
classes that are not the user's (`Reference`): they work from one image a class on. The user's own images, each scored by a classifier that
was fitted without it (`leaving_out.py`), are fewer but of the right kind. Together the reference counts as `REFERENCE_WEIGHT` own images.

* Temperature: least negative log-likelihood (Guo et al., ICML 2017, arXiv 1706.04599, section 4.2).
* "None of these": a familiarity below a quantile of that of known images. The familiarity of an image is how much closer it is to the
  nearest class mean than class means are to each other, plus a tenth of its log-probability.
* Sets: all classes whose probability reaches a quantile of that of the right class (Sadinle et al., JASA 2019, arXiv 1609.00451, "least
  ambiguous sets"), a split conformal set (Vovk et al., 2005).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64
from torch import Tensor

from s2m2.classifiers.base import FewShotClassifier, FewShotTasks
from s2m2.evaluation.calibration import ScoredQueries, fit_temperature
from s2m2.random import generator_for
from s2m2.recognition.leaving_out import LeftOut, QueryScores, score_queries
from s2m2.recognition.reference import Reference

REFERENCE_WEIGHT = 40.0
"""Own images that the reference counts for."""
REFERENCE_QUERIES = 5
"""Query images of a class in a task of the reference; all others of the class may be its labeled images."""
REFERENCE_SCORES = 2400
"""Queries of all tasks of the reference together, about."""
STRANGERS = 5
"""Other classes beside those of a task, from which it is told how many strangers are caught."""
MIN_TASKS = 6
"""Of each domain of the reference."""
MAX_ITEMS = 400
"""Labeled images of a task of the reference: of larger ones the classes, then the images of each, are fewer."""
MIN_SHOTS = 3
"""Images of a class from which its own calibrate: of two, leaving one out leaves half."""
MIN_OWN = 20
"""Own images from which they calibrate alone."""
LEVELS = 501
"""Quantiles that are kept."""
LOG_PROBABILITY_WEIGHT = 0.1
"""Of the log-probability in the familiarity, chosen on base classes of CUB and CIFAR-FS (benchmarks/reports/recognition_settings)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """What scores are worth."""

    temperature: float
    familiarity: Float64[Tensor, " level"]
    """Quantiles, from the least to the greatest, of the familiarity of images of known classes; empty: not calibrated."""
    truth: Float64[Tensor, " level"]
    """Quantiles of the probability of the right class."""
    strangers: Float64[Tensor, " stranger_level"]
    """Quantiles of the familiarity of images of other classes, in tasks of the reference; empty: there is none."""
    reference: str
    """What the reference is made of, and the size of its tasks; empty: there is none."""
    own: int
    """Own images that were left out in turn."""

    @property
    def calibrated(self) -> bool:
        """Whether probabilities, thresholds and sets mean what they say."""
        return len(self.familiarity) > 0

    def probabilities(self, scores: Float64[Tensor, "image class"]) -> Float64[Tensor, "image class"]:
        """Probability of each class, given that the image is of one of them."""
        return (scores / self.temperature).softmax(-1)

    def threshold(self, unknown: float) -> float:
        """The familiarity below which an image counts as unknown, so that this fraction of known ones is turned away."""
        return _quantile(self.familiarity, unknown) if self.calibrated and unknown > 0 else -math.inf

    def caught(self, unknown: float) -> float | None:
        """Fraction of images of similar other classes that count as unknown, as far as the reference tells; None: it does not."""
        if not len(self.strangers) or not unknown:
            return None
        return float((self.strangers < self.threshold(unknown)).double().mean())

    def unknown(self, queries: QueryScores, fraction: float) -> Bool[Tensor, " image"]:
        """Whether each image is probably of none of the classes; `fraction` of known images may be turned away."""
        return familiarity(queries, self.temperature) < self.threshold(fraction)

    def sets(self, probabilities: Float64[Tensor, "image class"], coverage: float) -> Bool[Tensor, "image class"]:
        """Classes that an image may be, the most probable one always; all of them where nothing is calibrated."""
        return (probabilities >= self.set_threshold(coverage)) | (probabilities == probabilities.amax(-1, keepdim=True))

    def set_threshold(self, coverage: float) -> float:
        """The probability from which on a class belongs to a set."""
        return _quantile(self.truth, 1 - coverage) if self.calibrated else 0.0

    def sentence(self, unknown: float) -> str:
        """What the probabilities are worth, for people."""
        if not self.calibrated:
            return (
                "The probabilities are not calibrated, and no image is called unknown: there is neither a reference of other classes nor "
                f"{MIN_OWN} labeled images with others of their class."
            )
        parts = [self.reference] if self.reference else []
        parts += [f"{self.own} labeled images, each scored without itself"] if self.own else []
        turned, caught = "", self.caught(unknown)
        if unknown > 0:
            turned = f" About {100 * unknown:g} % of images of the classes are turned away as unknown"
            turned += f", and {100 * caught:.0f} % of images of similar other classes." if caught is not None else "."
        return f"Calibrated on {' and '.join(parts)}.{turned}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "temperature": self.temperature,
            "familiarity": self.familiarity.tolist(),
            "truth": self.truth.tolist(),
            "strangers": self.strangers.tolist(),
            "reference": self.reference,
            "own": self.own,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Calibration":
        """The inverse of `to_dict`."""
        quantiles = {key: torch.tensor(values[key], dtype=torch.float64) for key in ("familiarity", "truth", "strangers")}
        return cls(temperature=values["temperature"], reference=values["reference"], own=values["own"], **quantiles)


def familiarity(queries: QueryScores, temperature: float) -> Float64[Tensor, " image"]:
    """How much an image looks like one of the classes; see above."""
    return queries.closeness + LOG_PROBABILITY_WEIGHT * (queries.scores / temperature).log_softmax(-1).amax(-1)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Part:
    """Scored images of known classes in tasks of one size, each image with a weight."""

    queries: QueryScores
    ways: Int64[Tensor, " image"]
    weight: float
    """Of every image."""


def calibrate(
    counts: Int64[Tensor, " class"],
    classifier: FewShotClassifier,
    reference: Reference | None,
    left_out: LeftOut | None,
    seed: int,
) -> Calibration:
    """Calibrate a classifier for tasks like the user's.

    Args:
        counts: labeled images of each class.
        reference: other classes; None: there are none.
        left_out: own images scored without themselves; None: every class has one image.
    """
    tasks = _reference_tasks(counts, classifier, reference, seed) if reference is not None else None
    parts = [tasks.part] if tasks is not None else []
    own = left_out.where(counts[left_out.ways] >= MIN_SHOTS) if left_out is not None else None
    if own is not None and len(own.ways) >= (1 if parts else MIN_OWN):
        parts.append(_Part(queries=own.queries, ways=own.ways, weight=1.0))
    if not parts:
        empty = torch.empty(0, dtype=torch.float64)
        return Calibration(temperature=1.0, familiarity=empty, truth=empty, strangers=empty, reference="", own=0)
    temperature = fit_temperature([ScoredQueries(scores=part.queries.scores, ways=part.ways, weight=part.weight) for part in parts])
    weights = torch.cat([torch.full((len(part.ways),), part.weight, dtype=torch.float64) for part in parts])
    truth = [(part.queries.scores / temperature).softmax(-1).gather(-1, part.ways[:, None])[:, 0] for part in parts]
    return Calibration(
        temperature=temperature,
        familiarity=_weighted_quantiles(torch.cat([familiarity(part.queries, temperature) for part in parts]), weights),
        truth=_weighted_quantiles(torch.cat(truth), weights),
        strangers=_quantiles(familiarity(tasks.strangers, temperature)) if tasks is not None else torch.empty(0, dtype=torch.float64),
        reference=tasks.description if tasks is not None else "",
        own=len(own.ways) if own is not None else 0,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _ReferenceTasks:
    """Scored tasks of the reference."""

    part: _Part
    """Queries of the classes of their tasks."""
    strangers: QueryScores
    """Queries of other classes."""
    description: str
    """Their size and what they are made of."""


def _reference_tasks(counts: Int64[Tensor, " class"], classifier: FewShotClassifier, reference: Reference, seed: int) -> _ReferenceTasks:
    """Tasks of the reference with as many classes and images a class as the user's, as far as it has them.

    Way 0 has the fewest labeled images in every task, so that all tasks of a domain are computed at once; which class it is, is random.
    """
    domains = _large_enough(reference, len(counts), int(counts.max()) + REFERENCE_QUERIES)
    images = min(len(one) for domain in domains for one in domain)
    queries = min(REFERENCE_QUERIES, images - 1)
    smallest = min(len(domain) for domain in domains)
    strangers = min(STRANGERS, smallest // 3)
    sizes = _task_sizes(counts, smallest - strangers).clamp_max(images - queries)
    generator = generator_for(seed, "calibration tasks")
    number = max(MIN_TASKS, REFERENCE_SCORES // (len(sizes) * queries * len(domains)))
    wanted = [*sizes.tolist(), *[0] * strangers]
    scored = [_domain_scores(domain, wanted, queries, number, classifier, generator) for domain in domains]
    total = number * len(domains) * len(sizes) * queries
    fewest, most = int(sizes.min()), int(sizes.max())
    shots, noun = f"{fewest}" if fewest == most else f"{fewest} to {most}", "image" if most == 1 else "images"
    return _ReferenceTasks(
        part=_Part(
            queries=QueryScores.joined([known for known, _ in scored]),
            ways=torch.arange(len(sizes)).repeat_interleave(queries).repeat(number * len(domains)),
            weight=REFERENCE_WEIGHT / total,
        ),
        strangers=QueryScores.joined([strangers for _, strangers in scored]),
        description=f"tasks of {len(sizes)} classes with {shots} {noun} each, from {reference.source}",
    )


def _large_enough(reference: Reference, ways: int, images: int) -> list[list[Float32[Tensor, "_ dim"]]]:
    """The classes of each domain, without those of too few images where enough others remain."""
    members = reference.members()
    domains = []
    for domain in sorted(set(reference.domains)):
        every = [one for one, own in zip(members, reference.domains, strict=True) if own == domain]
        most = max(len(one) for one in every)
        large = [one for one in every if len(one) >= min(images, most)]
        domains.append(large if len(large) >= ways + STRANGERS else every)
    return domains


def _domain_scores(
    members: Sequence[Float32[Tensor, "_ dim"]],
    wanted: Sequence[int],
    queries: int,
    number: int,
    classifier: FewShotClassifier,
    generator: torch.Generator,
) -> tuple[QueryScores, QueryScores]:
    """Scores of the queries of some tasks with classes of one domain, and of queries of other classes of it, the strangers.

    Args:
        wanted: labeled images of each class, 0 for those of strangers.
    """
    support, query = [], []
    sizes = torch.tensor([size for size in wanted if size])
    for _ in range(number):
        for way, size in zip(torch.randperm(len(members), generator=generator).tolist(), wanted, strict=False):
            order = torch.randperm(len(members[way]), generator=generator)
            query.append(members[way][order[:queries]])
            support.append(members[way][order[queries : queries + size]])
    ways, items = len(sizes), int(sizes.sum())
    tasks = FewShotTasks(
        support=torch.cat(support).unflatten(0, (number, items)),
        labels=torch.arange(ways).repeat_interleave(sizes).expand(number, -1),
        query=torch.cat(query).unflatten(0, (number, len(wanted) * queries)),
        ways=ways,
        shots=int(sizes[0]) if bool((sizes == sizes[0]).all()) else None,
    )
    scored = score_queries(tasks, classifier, generator)
    known = (torch.arange(len(wanted) * queries) < ways * queries).repeat(number)
    return scored.where(known), scored.where(~known)


def _task_sizes(counts: Int64[Tensor, " class"], classes: int) -> Int64[Tensor, " way"]:
    """Labeled images of each class of a reference task: those of the user's classes, spread evenly where there are too many."""
    ordered = counts.sort().values
    ways = min(len(counts), classes)
    sizes = ordered[torch.linspace(0, len(counts) - 1, ways).round().long()]
    return sizes.clamp_max(max(MAX_ITEMS // ways, 1))


def _weighted_quantiles(values: Float[Tensor, " image"], weights: Float64[Tensor, " image"]) -> Float64[Tensor, " level"]:
    """`LEVELS` quantiles of weighted values, level 0 the least one."""
    order = values.argsort()
    cumulative = weights[order].cumsum(0) / weights.sum()
    levels = torch.linspace(0, 1, LEVELS, dtype=torch.float64)
    index = torch.searchsorted(cumulative, levels - 1e-12).clamp_max(len(values) - 1)
    return values[order][index].double()


def _quantiles(values: Float[Tensor, " image"]) -> Float64[Tensor, " level"]:
    return _weighted_quantiles(values, torch.ones(len(values), dtype=torch.float64))


def _quantile(quantiles: Float64[Tensor, " level"], level: float) -> float:
    """The value at a level from 0 to 1, the next lower one that is kept, so that at most this fraction lies below."""
    return float(quantiles[min(int(level * (len(quantiles) - 1) + 1e-9), len(quantiles) - 1)])

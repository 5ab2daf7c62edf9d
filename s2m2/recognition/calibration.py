"""Probabilities, "none of these" and conformal sets, calibrated on few-shot tasks like the user's.

Two kinds of images tell how far scores can be trusted. Tasks with as many classes and images a class as the user's are sampled from
classes that are not the user's (`Reference`): they work from one image a class on. The user's own images, each scored by a classifier that
was fitted without it, are fewer but of the right kind. Together the reference counts as `REFERENCE_WEIGHT` own images.

* Temperature: least negative log-likelihood (Guo et al., ICML 2017, arXiv 1706.04599, section 4.2).
* "None of these": a maximum probability (Hendrycks and Gimpel, ICLR 2017, arXiv 1610.02136) below a quantile of that of known images.
* Sets: all classes whose probability reaches a quantile of that of the right class (Sadinle et al., JASA 2019, arXiv 1609.00451, "least
  ambiguous sets"), a split conformal set (Vovk et al., 2005).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64
from scipy.optimize import minimize_scalar
from torch import Tensor

from s2m2.classifiers.base import FewShotClassifier, FewShotTasks
from s2m2.random import generator_for
from s2m2.recognition.reference import Reference

REFERENCE_WEIGHT = 40.0
"""Own images that the reference counts for."""
REFERENCE_QUERIES = 5
"""Query images of a class in a task of the reference; all others of the class may be its labeled images."""
REFERENCE_SCORES = 2400
"""Queries of all tasks of the reference together, about."""
MIN_TASKS = 6
MAX_ITEMS = 400
"""Labeled images of a task of the reference: of larger ones the classes, then the images of each, are fewer."""
MIN_OWN = 20
"""Own images from which they calibrate alone."""
FOLDS = 10
"""Parts of the own images that are left out in turn, at most."""
LEVELS = 501
"""Quantiles that are kept."""
SEARCH_RANGE = 8.0
"""The temperature is searched within a factor of exp(SEARCH_RANGE) around the scale of the scores."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """What scores are worth."""

    temperature: float
    confidence: Float64[Tensor, " level"]
    """Quantiles, from the least to the greatest, of the maximum probability of images of known classes; empty: not calibrated."""
    truth: Float64[Tensor, " level"]
    """Quantiles of the probability of the right class."""
    reference: str
    """What the reference is made of; empty: there is none."""
    own: int
    """Own images that were left out in turn."""
    left_out: tuple[Float64[Tensor, "image class"], Int64[Tensor, " image"]] | None = None
    """Their scores and which images they are (`leave_out_scores`), for the report; not saved."""

    @property
    def calibrated(self) -> bool:
        """Whether probabilities, thresholds and sets mean what they say."""
        return len(self.confidence) > 0

    def probabilities(self, scores: Float64[Tensor, "image class"]) -> Float64[Tensor, "image class"]:
        """Probability of each class, given that the image is of one of them."""
        return (scores / self.temperature).softmax(-1)

    def threshold(self, unknown: float) -> float:
        """The maximum probability below which an image counts as unknown, so that this fraction of known ones is turned away."""
        return _quantile(self.confidence, unknown) if self.calibrated and unknown > 0 else 0.0

    def unknown(self, scores: Float64[Tensor, "image class"], fraction: float) -> Bool[Tensor, " image"]:
        """Whether each image is probably of none of the classes; `fraction` of known images may be turned away."""
        return self.probabilities(scores).amax(-1) < self.threshold(fraction)

    def sets(self, probabilities: Float64[Tensor, "image class"], coverage: float) -> Bool[Tensor, "image class"]:
        """Classes that an image may be, the most probable one always; all of them where nothing is calibrated."""
        least = _quantile(self.truth, 1 - coverage) if self.calibrated else 0.0
        return (probabilities >= least) | (probabilities == probabilities.amax(-1, keepdim=True))

    def sentence(self, unknown: float) -> str:
        """What the probabilities are worth, for people."""
        if not self.calibrated:
            return (
                "The probabilities are not calibrated, and no image is called unknown: there is neither a reference of other classes nor "
                f"{MIN_OWN} labeled images with others of their class."
            )
        parts = [f"tasks of the same size from {self.reference}"] if self.reference else []
        parts += [f"{self.own} labeled images, each scored without itself"] if self.own else []
        turned = f" About {100 * unknown:g} % of images of the classes are turned away as unknown." if unknown > 0 else ""
        return f"Calibrated on {' and '.join(parts)}.{turned}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "temperature": self.temperature,
            "confidence": self.confidence.tolist(),
            "truth": self.truth.tolist(),
            "reference": self.reference,
            "own": self.own,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Calibration":
        """The inverse of `to_dict`."""
        confidence, truth = (torch.tensor(values[key], dtype=torch.float64) for key in ("confidence", "truth"))
        settings = {key: values[key] for key in ("temperature", "reference", "own")}
        return cls(confidence=confidence, truth=truth, **settings)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Scored:
    """Scores of images of known classes, in tasks of any number of classes, each image with a weight."""

    scores: Float64[Tensor, "image class"]
    """Lower by `inf` where a task has fewer classes."""
    ways: Int64[Tensor, " image"]
    weights: Float64[Tensor, " image"]


def calibrate(
    features: Float32[Tensor, "item dim"],
    ways: Sequence[int],
    classifier: FewShotClassifier,
    reference: Reference | None,
    seed: int,
) -> Calibration:
    """Calibrate a classifier for tasks like this one.

    Args:
        features: of the labeled images.
        ways: class of each, from 0.
        reference: other classes; None: there are none.
    """
    labels = torch.tensor(ways)
    counts = torch.bincount(labels)
    parts = []
    if reference is not None and (scored := _reference_scores(counts, classifier, reference, seed)) is not None:
        parts.append(scored)
    own = leave_out_scores(features, labels, classifier, seed)
    if own is not None and (parts or len(own[0]) >= MIN_OWN):
        parts.append(_Scored(scores=own[0], ways=labels[own[1]], weights=torch.ones(len(own[1]), dtype=torch.float64)))
    if not parts:
        empty = torch.empty(0, dtype=torch.float64)
        return Calibration(temperature=1.0, confidence=empty, truth=empty, reference="", own=0, left_out=own)
    temperature = _fit_temperature(parts)
    probabilities = [(part.scores / temperature).softmax(-1) for part in parts]
    weights = torch.cat([part.weights for part in parts])
    right = [one.gather(-1, part.ways[:, None])[:, 0] for one, part in zip(probabilities, parts, strict=True)]
    return Calibration(
        temperature=temperature,
        confidence=_weighted_quantiles(torch.cat([one.amax(-1) for one in probabilities]), weights),
        truth=_weighted_quantiles(torch.cat(right), weights),
        reference=reference.source if reference is not None else "",
        own=len(own[1]) if own is not None else 0,
        left_out=own,
    )


def leave_out_scores(
    features: Float32[Tensor, "item dim"], labels: Int64[Tensor, " item"], classifier: FewShotClassifier, seed: int
) -> tuple[Float64[Tensor, "image class"], Int64[Tensor, " image"]] | None:
    """Scores of labeled images by classifiers that were fitted without them, and which images these are; None: every class has one image.

    Images of a class of their own are left out by none. The others are left out together with one image of every other class that has
    several, or with about a tenth of each class. Leaving out one alone would pit a class of k - 1 images against classes of k, and
    classifiers prefer the larger class: with 2 images of each of 8 bird species, 13 % were named right that way, where 76 % of new
    photos are.
    """
    counts = torch.bincount(labels)
    candidates = (counts[labels] > 1).nonzero()[:, 0]
    if not len(candidates):
        return None
    generator = generator_for(seed, "leave out")
    left_out = _stratified(candidates, labels, counts, generator)
    scores = [_scores_without(fold, features, labels, classifier, generator) for fold in left_out]
    return torch.cat(scores), torch.cat(left_out)


def _scores_without(
    left_out: Int64[Tensor, " query"],
    features: Float32[Tensor, "item dim"],
    labels: Int64[Tensor, " item"],
    classifier: FewShotClassifier,
    generator: torch.Generator,
) -> Float64[Tensor, "image class"]:
    """Scores of left out images by a classifier fitted to all others."""
    order = labels.argsort(stable=True)
    kept = order[~torch.isin(order, left_out)]
    ways = int(labels.max()) + 1
    tasks = FewShotTasks(support=features[None, kept], labels=labels[None, kept], query=features[None, left_out], ways=ways, shots=None)
    with torch.no_grad():
        return classifier(tasks, generator)[0].double()


def _stratified(
    candidates: Int64[Tensor, " candidate"], labels: Int64[Tensor, " item"], counts: Int64[Tensor, " class"], generator: torch.Generator
) -> list[Int64[Tensor, " _"]]:
    """Folds that leave an image of every class: the images of a class are dealt out in turn, never all to one fold."""
    shuffled = candidates[torch.randperm(len(candidates), generator=generator)]
    ordered = shuffled[labels[shuffled].argsort(stable=True)]
    position = torch.cat([torch.arange(int((labels[ordered] == way).sum())) for way in labels[ordered].unique()])
    return [fold for number in range(FOLDS) if len(fold := ordered[position % FOLDS == number])]


def _reference_scores(counts: Int64[Tensor, " class"], classifier: FewShotClassifier, reference: Reference, seed: int) -> _Scored | None:
    """Scores of queries in tasks of the reference with as many classes and images a class, as far as it has them.

    Way 0 has the fewest labeled images in every task, so that all tasks of a domain are computed at once; which class it is, is random.
    """
    members = reference.members()
    domains = [[way for way, own in enumerate(reference.domains) if own == domain] for domain in sorted(set(reference.domains))]
    generator = generator_for(seed, "calibration tasks")
    images = min(len(one) for one in members)
    queries = min(REFERENCE_QUERIES, images - 1)
    sizes = _task_sizes(counts, min(len(domain) for domain in domains)).clamp_max(images - queries)
    number = max(MIN_TASKS, REFERENCE_SCORES // (len(sizes) * queries * len(domains)))
    scores = [_domain_scores([members[way] for way in domain], sizes, queries, number, classifier, generator) for domain in domains]
    total = sum(len(one) for one in scores)
    return _Scored(
        scores=torch.cat(scores),
        ways=torch.arange(len(sizes)).repeat_interleave(queries).repeat(number * len(domains)),
        weights=torch.full((total,), REFERENCE_WEIGHT / total, dtype=torch.float64),
    )


def _domain_scores(
    members: Sequence[Float32[Tensor, "_ dim"]],
    sizes: Int64[Tensor, " way"],
    queries: int,
    number: int,
    classifier: FewShotClassifier,
    generator: torch.Generator,
) -> Float64[Tensor, "image class"]:
    support, query = [], []
    for _ in range(number):
        for way, size in zip(torch.randperm(len(members), generator=generator).tolist(), sizes.tolist(), strict=False):
            order = torch.randperm(len(members[way]), generator=generator)
            query.append(members[way][order[:queries]])
            support.append(members[way][order[queries : queries + size]])
    ways, items = len(sizes), int(sizes.sum())
    tasks = FewShotTasks(
        support=torch.cat(support).unflatten(0, (number, items)),
        labels=torch.arange(ways).repeat_interleave(sizes).expand(number, -1),
        query=torch.cat(query).unflatten(0, (number, ways * queries)),
        ways=ways,
        shots=int(sizes[0]) if bool((sizes == sizes[0]).all()) else None,
    )
    with torch.no_grad():
        return classifier(tasks, generator).flatten(0, 1).double()


def _task_sizes(counts: Int64[Tensor, " class"], classes: int) -> Int64[Tensor, " way"]:
    """Labeled images of each class of a reference task: those of the user's classes, spread evenly where there are too many."""
    ordered = counts.sort().values
    ways = min(len(counts), classes)
    sizes = ordered[torch.linspace(0, len(counts) - 1, ways).round().long()]
    return sizes.clamp_max(max(MAX_ITEMS // ways, 1))


def _fit_temperature(parts: Sequence[_Scored]) -> float:
    """The temperature of least weighted negative log-likelihood."""
    weight = sum(float(part.weights.sum()) for part in parts)
    below = [part.scores - part.scores.amax(-1, keepdim=True) for part in parts]
    scale = sum(float((one.mean(-1).neg() * part.weights).sum()) for one, part in zip(below, parts, strict=True)) / weight
    if scale <= 0 or not math.isfinite(scale):
        return 1.0

    def loss(logarithm: float) -> float:
        total = 0.0
        for one, part in zip(below, parts, strict=True):
            scaled = one * math.exp(-logarithm)
            total += float(((scaled.logsumexp(-1) - scaled.gather(-1, part.ways[:, None])[:, 0]) * part.weights).sum())
        return total / weight

    center = math.log(scale)
    best = minimize_scalar(loss, bounds=(center - SEARCH_RANGE, center + SEARCH_RANGE), method="bounded", options={"xatol": 1e-4})
    return math.exp(float(best.x))


def _weighted_quantiles(values: Float[Tensor, " image"], weights: Float64[Tensor, " image"]) -> Float64[Tensor, " level"]:
    """`LEVELS` quantiles of weighted values, level 0 the least one."""
    order = values.argsort()
    cumulative = weights[order].cumsum(0) / weights.sum()
    levels = torch.linspace(0, 1, LEVELS, dtype=torch.float64)
    index = torch.searchsorted(cumulative, levels - 1e-12).clamp_max(len(values) - 1)
    return values[order][index].double()


def _quantile(quantiles: Float64[Tensor, " level"], level: float) -> float:
    """The value at a level from 0 to 1, the next lower one that is kept, so that at most this fraction lies below."""
    return float(quantiles[min(int(level * (len(quantiles) - 1) + 1e-9), len(quantiles) - 1)])

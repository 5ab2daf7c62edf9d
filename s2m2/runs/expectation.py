"""`NAME.expected.json`: what finished runs of a recipe gave, epoch by epoch, and when another run falls behind it. Imports no torch.

**The rule.** A new run differs from the mean of n runs by chance with a standard deviation of s sqrt(1 + 1/n), where s is that of one run.
s is the largest of three: the spread over the runs at this epoch, its root mean square over all epochs of the stage (few runs may agree
at one epoch by luck), and the error that the validation tasks leave, their 95% interval / 1.96. Of a single run the spread is unknown,
and taken to be one point. A run is behind where its score is more than 3 such deviations, and at least one point, below the expected one.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from s2m2.errors import InputError, need
from s2m2.io import read_json, write_json
from s2m2.recipe import Recipe
from s2m2.recipe.tree import leaves, plain_values

FORMAT = 1
SUFFIX = ".expected.json"
"""In place of the ending of the recipe file."""
FREE = ("seed", "evaluate", "analyze", "runtime")
"""Sections of a recipe that an expectation does not depend on."""
PLACES = ("data.path", "data.validation_dataset", "data.download")
"""Settings that say where the images are; an expectation knows them by content."""
DEVIATIONS = 3.0
"""Standard deviations of a new run that are taken for chance."""
MIN_MARGIN = 0.01
"""Fraction by which a score may always be lower."""
UNKNOWN_SPREAD = 0.01
"""Standard deviation among runs, a fraction, where there is one run only."""
MAX_BYTES = 2**20
"""Of a file; a hundred epochs take some 15,000."""


@dataclass(frozen=True, kw_only=True)
class ExpectedEpoch:
    """Validation scores of some runs after one epoch, fractions."""

    score: float
    """Mean over the runs."""
    spread: float | None
    """Standard deviation of one run; None for a single run."""
    interval: float
    """Half width of the 95% interval over validation tasks, mean over the runs."""
    runs: int

    def __post_init__(self) -> None:
        need(0 <= self.score <= 1 and 0 <= self.interval <= 1, "a validation score is no fraction")
        need(self.spread is None or 0 <= self.spread <= 1, "a spread is no fraction")
        need(self.runs >= 1, "an epoch is of no run")


@dataclass(frozen=True, kw_only=True)
class ExpectedStage:
    """Validation scores of a stage by the number of epochs done."""

    minutes_per_epoch: float
    epochs: Mapping[int, ExpectedEpoch]

    def margin(self, epoch: int, interval: float = 0.0) -> float:
        """How far a score may lie below the expected one, a fraction.

        Args:
            epoch: one of `epochs`.
            interval: half width of the 95% interval of that score over tasks.
        """
        expected = self.epochs[epoch]
        squares = [one.spread**2 for one in self.epochs.values() if one.spread is not None]
        pooled = math.sqrt(sum(squares) / len(squares)) if squares else UNKNOWN_SPREAD
        own = expected.spread if expected.spread is not None else UNKNOWN_SPREAD
        deviation = max(own, pooled, max(expected.interval, interval) / 1.96)
        return max(MIN_MARGIN, DEVIATIONS * deviation * math.sqrt(1 + 1 / expected.runs))


@dataclass(frozen=True, kw_only=True)
class ExpectedScore:
    """A final few-shot score on novel classes, fractions."""

    features: str
    classifier: str
    protocol: str
    ways: int
    shots: int
    queries: int
    tasks: int
    mean: float
    """Over tasks and runs."""
    spread: float | None
    """Standard deviation of one run; None for a single run."""
    interval: float
    """Half width of the 95% interval over tasks of one run."""
    class_interval: float | None
    """That over classes; None where it was not measured."""

    def __post_init__(self) -> None:
        need(0 <= self.mean <= 1 and 0 <= self.interval <= 1, "a final score is no fraction")


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What finished runs of a recipe gave."""

    created: str
    """Date, ISO 8601."""
    seeds: tuple[int, ...]
    """Of the runs."""
    hours: float
    """Of a whole run, mean over the runs."""
    hardware: tuple[str, ...]
    precision: tuple[str, ...]
    packages: Mapping[str, str]
    """Versions, of the last run."""
    settings: Mapping[str, Any]
    """Settings that matter, by dotted name."""
    images: Mapping[str, Mapping[str, str]]
    """Digest, and digest of the classes, of the images of base and of validation classes."""
    stages: Mapping[str, ExpectedStage]
    scores: tuple[ExpectedScore, ...]

    def main_scores(self) -> list[ExpectedScore]:
        """The scores to name first: after the last stage, by the paper's classifier if it was used, one for each number of shots."""
        of_stage = [one for one in self.scores if one.features == self.scores[-1].features]
        classifiers = [one.classifier for one in of_stage]
        chosen = "cosine" if "cosine" in classifiers else classifiers[0] if classifiers else ""
        first = next((one for one in of_stage if one.classifier == chosen), None)
        return [one for one in of_stage if first and (one.classifier, one.protocol, one.ways) == (chosen, first.protocol, first.ways)]

    def changed_settings(self, recipe: Recipe) -> list[str]:
        """Settings that matter and are others in a recipe, each with both values.

        A setting that is newer than the expectation counts as having had its default.
        """
        now, defaults = settings_that_matter(recipe), settings_that_matter(Recipe())
        return [
            f"{name} is {value}, not {stated}"
            for name, value in now.items()
            if value != (stated := self.settings.get(name, defaults.get(name)))
        ]


def beside(recipe_file: Path) -> Path:
    """Where the expectation of a recipe file lies."""
    return recipe_file.with_name(recipe_file.stem + SUFFIX)


def settings_that_matter(recipe: Recipe) -> dict[str, Any]:
    """Settings that shape the weights, by dotted name, in the types of JSON."""
    plain = json.loads(json.dumps(plain_values(asdict(recipe))))
    return {name: value for name, value in leaves(plain) if name.split(".")[0] not in FREE and name not in PLACES}


def digests_of(described: Mapping[str, Any]) -> dict[str, str]:
    """Digests of a dataset, as `trained_images.describe` gives it, and of its classes with their numbers of images."""
    content = {"size": described["size"], "splits": described["splits"]}
    classes = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return {"digest": str(described["digest"]), "classes": classes}


def write_expectation(path: Path, expectation: Expectation) -> None:
    """Write the file, atomically and with its checksum."""
    write_json(path, {"format": FORMAT, **asdict(expectation)})


def read_expectation(path: Path) -> Expectation:
    """The content of a file.

    Raises:
        InputError: the file is missing, damaged, of a newer version, or cannot be read now; one line.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    try:
        need(path.stat().st_size <= MAX_BYTES, "it is too large")
        return _from_content(read_json(path))
    except InputError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise InputError(f"{path} is damaged ({reason})") from error


def _from_content(content: Mapping[str, Any]) -> Expectation:
    need(content["format"] == FORMAT, f"its format is {content['format']}, this version reads {FORMAT}")
    stages = {
        str(name): ExpectedStage(
            minutes_per_epoch=float(stage["minutes_per_epoch"]),
            epochs={int(epoch): ExpectedEpoch(**values) for epoch, values in stage["epochs"].items()},
        )
        for name, stage in content["stages"].items()
    }
    hours = float(content["hours"])
    need(math.isfinite(hours) and all(stage.epochs for stage in stages.values()), "it has no hours or no epochs")
    return Expectation(
        created=str(content["created"]),
        seeds=tuple(int(seed) for seed in content["seeds"]),
        hours=hours,
        hardware=tuple(map(str, content["hardware"])),
        precision=tuple(map(str, content["precision"])),
        packages=dict(content["packages"]),
        settings=dict(content["settings"]),
        images={role: {"digest": str(one["digest"]), "classes": str(one["classes"])} for role, one in content["images"].items()},
        stages=stages,
        scores=tuple(ExpectedScore(**score) for score in content["scores"]),
    )

"""`Watch`: a run beside its expectation while it trains: whether it applies, what to expect, and one warning where the run is behind."""

import os
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from s2m2.arguments import path_argument
from s2m2.console import console, count, duration, first_named, literal
from s2m2.data.catalog import ImageDatasets
from s2m2.errors import InputError
from s2m2.io import replace_file
from s2m2.recipe import Recipe
from s2m2.runs.checkpoint import load_outcome
from s2m2.runs.directory import RunDirectory
from s2m2.runs.expectation import Expectation, beside, digests_of, read_expectation
from s2m2.runs.trained_images import SHOWN, describe

COMPARED = ("s2m2", "torch")
"""Packages whose versions may explain other scores."""


class Watch:
    """Compares validation scores with those of an expectation, and has one warning.

    Attributes:
        expectation: of the recipe of the run.
    """

    def __init__(self, expectation: Expectation, causes: list[str]) -> None:
        """`causes`: what differs from the runs of the expectation, in words."""
        self.expectation = expectation
        self._causes, self._warned = causes, False

    def expected(self, stage: str, epoch: int) -> float | None:
        """The expected validation score after an epoch, a fraction; None where none is known."""
        known = self.expectation.stages.get(stage)
        return known.epochs[epoch].score if known is not None and epoch in known.epochs else None

    def warning(self, stage: str, epoch: int, score: float, interval: float) -> str:
        """The warning, at the first score that is behind; else empty.

        Args:
            score: on validation classes, a fraction.
            interval: half width of its 95% interval over tasks.
        """
        expected = self.expected(stage, epoch)
        if self._warned or expected is None:
            return ""
        margin = self.expectation.stages[stage].margin(epoch, interval)
        if score >= expected - margin:
            return ""
        self._warned = True
        differs = "; ".join(self._causes) or "settings, images, precision and versions are the same, so look at the hardware and the logs"
        return (
            f"warning: {stage} is behind: {score:.2%} on validation classes after epoch {epoch}, expected {expected:.2%} and at least "
            f"{expected - margin:.2%}; likely causes: {differs}; the training goes on"
        )


def watch_run(recipe: Recipe, datasets: ImageDatasets, run: RunDirectory, source: Path | None) -> Watch | None:
    """The watch of a run, if there is an expectation that applies; one line says what to expect, or why it does not apply.

    The file of the first start is copied into the run, so that a resumed run needs no path. Whatever is wrong with it is one warning.

    Args:
        source: file beside the recipe; None, or a file that is not there: that of the run.
    """
    try:
        if _is_finished(recipe, run):
            return None
        own = run.expected.is_file()
        file = run.expected if own else source
        if file is None or not os.path.lexists(file):
            return None
        expectation = read_expectation(file)
        reason = _mismatch(expectation, recipe, datasets, run)
        if reason:
            _say(f"{file} does not apply: {reason}")
            return None
        if not own:
            with replace_file(run.expected) as temporary:
                shutil.copyfile(file, temporary)
        _say(_headline(expectation))
        return Watch(expectation, _causes(expectation, recipe, datasets))
    except Exception as error:  # a damaged or hostile file, or a full disk: nothing of it may stop a training
        reason = " ".join(str(error).split()) or type(error).__name__
        _say(f"warning: what to expect of the recipe is not known: {reason}; the training goes on")
        return None


def expected_file(recipe: Any, expected: Path | str | None) -> Path | None:
    """The file of what to expect of a recipe: the one that a caller names, or that beside a recipe file, which need not be there.

    Raises:
        InputError: the named one is not there.
    """
    if expected is None:
        return beside(path_argument("recipe", recipe)) if isinstance(recipe, str | Path) else None
    named = path_argument("expected", expected)
    if not os.path.lexists(named):
        raise InputError(f"expected is {named}, but there is no such file")
    return named


def _is_finished(recipe: Recipe, run: RunDirectory) -> bool:
    stages = [config.stage for config in (recipe.pretrain, recipe.finetune) if config.epochs]
    return all(load_outcome(run.outcome(stage)) is not None for stage in stages)


def _mismatch(expectation: Expectation, recipe: Recipe, datasets: ImageDatasets, run: RunDirectory) -> str:
    """Why an expectation does not apply; empty where it does."""
    if run.imported.is_file():
        return "the run starts from imported weights"
    changed = expectation.changed_settings(recipe)
    if changed:
        return first_named(changed, "; ")
    for role, stated in expectation.images.items():
        found = _digests(datasets, role)
        if found["classes"] != stated["classes"]:
            digests = f"digest {found['digest'][:SHOWN]}, not {stated['digest'][:SHOWN]}"
            return f"the {role} images are others, in classes, numbers or size: {digests}"
    return ""


def _causes(expectation: Expectation, recipe: Recipe, datasets: ImageDatasets) -> list[str]:
    """What differs from the runs of an expectation that applies, and may explain lower scores."""
    causes = []
    for role, stated in expectation.images.items():
        if _digests(datasets, role)["digest"] != stated["digest"]:
            causes.append(f"other {role} images: equal classes and numbers, but other pixels or another order")
    if recipe.runtime.precision not in expectation.precision:
        causes.append(f"--runtime.precision {recipe.runtime.precision}, not {' or '.join(expectation.precision)}")
    for name in COMPARED:
        was, now = expectation.packages.get(name), version(name)
        if was not in (None, now):
            causes.append(f"{name} {now}, not {was}")
    return causes


def _digests(datasets: ImageDatasets, role: str) -> Mapping[str, Any]:
    return digests_of(describe(datasets.of("base" if role == "base" else "validation")))


def _headline(expectation: Expectation) -> str:
    """What to expect, in one line."""
    words = []
    for score in expectation.main_scores():
        among = f", {score.spread:.2%} among runs" if score.spread is not None else ""
        words.append(f"{score.mean:.2%} ± {score.interval:.2%} ({score.ways}-way {score.shots}-shot{among})")
    scores = f"{' and '.join(words)} on novel classes, {expectation.main_scores()[0].classifier}, " if words else ""
    where = f"{duration(3600 * expectation.hours)} on {' or '.join(expectation.hardware) or 'unknown hardware'}"
    return f"expected: {scores}{where} ({count(len(expectation.seeds), 'run')}, {expectation.created})"


def _say(text: str) -> None:
    console.print(literal(text), soft_wrap=True)

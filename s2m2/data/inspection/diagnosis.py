"""`diagnose`: what the observations of a dataset mean."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from s2m2.data.dataset import SPLITS
from s2m2.data.inspection import checks
from s2m2.data.inspection.expectation import ALL, compare_counts
from s2m2.data.inspection.findings import Finding
from s2m2.data.inspection.observation import Observations
from s2m2.data.inspection.subject import Subject

SOUND, FINDINGS, UNUSABLE = 0, 1, 2
"""Exit codes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PartCount:
    """A split, or everything, in numbers."""

    name: str
    """Name of the split, or `all`."""
    classes: int
    images: int
    """Images found, unreadable ones included."""
    expected_classes: int | None
    expected_images: int | None
    least: int
    """Images of the smallest class."""
    most: int
    """Images of the largest class."""
    mean: Float64[np.ndarray, "3"]
    """Mean of red, green and blue on a scale of 0 to 1, every image counting alike whatever its size; NaN without images."""
    deviation: Float64[np.ndarray, "3"]
    """Standard deviation of red, green and blue over all pixels, images again counting alike."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Diagnosis:
    """What is to be said about a dataset."""

    findings: tuple[Finding, ...]
    """The worst ones first."""
    parts: tuple[PartCount, ...]
    """Each split that has classes, and everything."""
    class_counts: Int64[np.ndarray, " class"]
    """Images found of each class."""

    def of(self, severity: str) -> tuple[Finding, ...]:
        """The findings of one severity."""
        return tuple(finding for finding in self.findings if finding.severity == severity)

    @property
    def exit_code(self) -> int:
        """0: sound, 1: findings, 2: not usable. Notes do not count."""
        if self.of("unusable"):
            return UNUSABLE
        return FINDINGS if self.of("finding") else SOUND


def diagnose(subject: Subject, seen: Observations, *, ways: int, shots: int, queries: int) -> Diagnosis:
    """Judge what was seen of a dataset, also by whether tasks of so many ways, shots and queries can be drawn from every split."""
    usable = seen.counts(subject.labels, len(subject.class_names))
    findings = [
        *checks.usability(subject, seen),
        *checks.source_flaws(subject),
        *checks.unreadable_files(subject, seen),
        *_unexpected(subject),
        *checks.equal_images(subject, seen),
        *checks.class_lists(subject),
        *checks.small_splits(subject, ways),
        *checks.small_classes(subject, usable, shots, queries),
        *checks.notes(subject, seen),
    ]
    found = np.bincount(subject.labels, minlength=len(subject.class_names)).astype(np.int64)
    order = ("unusable", "finding", "note")
    return Diagnosis(
        findings=tuple(sorted(findings, key=lambda finding: order.index(finding.severity))),
        parts=tuple(_parts(subject, seen, found, usable)),
        class_counts=found,
    )


def _unexpected(subject: Subject) -> Iterator[Finding]:
    if subject.expected is not None:
        yield from compare_counts(subject.expected, subject.labels, subject.class_names, subject.splits)


def _parts(
    subject: Subject, seen: Observations, found: Int64[np.ndarray, " class"], usable: Int64[np.ndarray, " class"]
) -> Iterator[PartCount]:
    named: dict[str, tuple[int, ...]] = {split: subject.splits[split] for split in SPLITS if subject.splits.get(split)}
    for name, classes in {**named, ALL: tuple(range(len(subject.class_names)))}.items():
        numbers = list(classes)
        total = usable[numbers].sum()
        with np.errstate(invalid="ignore"):
            mean, square = seen.moments[numbers].sum(axis=0) / np.float64(total)
        yield PartCount(
            name=name,
            classes=len(numbers),
            images=int(found[numbers].sum()),
            expected_classes=subject.expected.classes.get(name) if subject.expected is not None else None,
            expected_images=subject.expected.images.get(name) if subject.expected is not None else None,
            least=int(found[numbers].min()),
            most=int(found[numbers].max()),
            mean=mean,
            deviation=np.sqrt(np.maximum(square - mean**2, 0)),
        )

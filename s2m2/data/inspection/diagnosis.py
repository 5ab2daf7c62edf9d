"""`diagnose`: the observations of a dataset become findings, each with the files or classes that it is about."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64
from rich.table import Table

from s2m2.console import count, literal, verb
from s2m2.data.dataset import SPLITS, Split
from s2m2.data.inspection.observation import Observations, equal_groups
from s2m2.data.inspection.subject import ALL, Subject
from s2m2.data.sources.listing import FlawKind, LeftOut, left_out_text

Severity = Literal["unusable", "finding", "note"]
SEVERITIES: tuple[Severity, ...] = ("unusable", "finding", "note")
SOUND, FINDINGS, UNUSABLE = 0, 1, 2
"""Exit codes."""
CUT_SHORT = ("truncated", "is empty")
"""Words in the reason if a file ends too early."""
FLAWS: dict[FlawKind, tuple[str, str, str]] = {
    "link": ("link", "links", "cannot be followed"),
    "folder": ("class folder", "class folders", "cannot be read"),
    "missing": ("image", "images", "that a list names cannot be found"),
}
IGNORED: tuple[LeftOut, ...] = ("nested", "loose", "untaken")
MAX_SIZES = 5
"""Image sizes in a note, at most."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A fault, or something worth knowing, with the files or classes that it is about."""

    severity: Severity
    """unusable: not fit for training; finding: somebody must decide; note: good to know."""
    title: str
    """A sentence without its full stop."""
    items: tuple[str, ...] = ()
    """All files, classes or sets of equal images with this fault."""
    groups: tuple[tuple[int, ...], ...] = ()
    """Indices of the images of each item, if it helps to see them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PartCount:
    """Counts and colors of a split, or of the whole dataset."""

    name: str
    """Name of the split, or `all`."""
    classes: int
    images: int
    """Unreadable ones included."""
    expected_classes: int | None
    expected_images: int | None
    least: int
    """Images of the smallest class."""
    most: int
    """Images of the largest class."""
    mean: Float64[np.ndarray, "3"]
    """Mean of red, green and blue on a scale of 0 to 1, with equal weight for every image whatever its size; NaN without images."""
    deviation: Float64[np.ndarray, "3"]
    """Standard deviation of red, green and blue over all pixels, with the same weights."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Diagnosis:
    """Findings and counts of a dataset."""

    findings: tuple[Finding, ...]
    """Worst first."""
    parts: tuple[PartCount, ...]
    """Each split with classes, and the whole dataset."""
    class_counts: Int64[np.ndarray, " class"]
    """Images of each class, unreadable ones included."""

    def of(self, severity: str) -> tuple[Finding, ...]:
        """The findings of one severity."""
        return tuple(finding for finding in self.findings if finding.severity == severity)

    @property
    def exit_code(self) -> int:
        """0: sound, 1: findings, 2: not usable. Notes do not count."""
        if self.of("unusable"):
            return UNUSABLE
        return FINDINGS if self.of("finding") else SOUND


def diagnose(subject: Subject, observations: Observations, *, ways: int, shots: int, queries: int) -> Diagnosis:
    """Findings of all checks, also whether tasks of these ways, shots and queries can be sampled from every split."""
    usable_counts = observations.counts(subject.labels, len(subject.class_names))
    findings = [
        *usability(subject, observations),
        *source_flaws(subject),
        *unreadable_files(subject, observations),
        *count_differences(subject),
        *equal_images(subject, observations),
        *class_lists(subject),
        *small_splits(subject, ways),
        *small_classes(subject, usable_counts, shots, queries),
        *notes(subject, observations),
    ]
    class_counts = np.bincount(subject.labels, minlength=len(subject.class_names)).astype(np.int64)
    return Diagnosis(
        findings=tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))),
        parts=tuple(_parts(subject, observations, class_counts, usable_counts)),
        class_counts=class_counts,
    )


def counts_table(subject: Subject, diagnosis: Diagnosis) -> Table:
    """Counts of each split and the whole dataset, to print."""
    is_expected = subject.expected is not None
    table = Table(title=literal(subject.name, "table.title"))
    expected = ["expected"] if is_expected else []
    for heading in ("split", "classes", *expected, "images", *expected, "a class"):
        table.add_column(heading, justify="left" if heading == "split" else "right")
    for part in diagnosis.parts:
        numbers = [part.classes, part.expected_classes, part.images, part.expected_images] if is_expected else [part.classes, part.images]
        spread = f"{part.least:,}" if part.least == part.most else f"{part.least:,} to {part.most:,}"
        table.add_row(part.name, *("" if number is None else f"{number:,}" for number in numbers), spread)
    return table


def _parts(
    subject: Subject, observations: Observations, class_counts: Int64[np.ndarray, " class"], usable_counts: Int64[np.ndarray, " class"]
) -> Iterator[PartCount]:
    splits: dict[str, tuple[int, ...]] = {split: subject.splits[split] for split in SPLITS if subject.splits.get(split)}
    for name, classes in {**splits, ALL: tuple(range(len(subject.class_names)))}.items():
        numbers = list(classes)
        total = usable_counts[numbers].sum()
        with np.errstate(invalid="ignore"):
            mean, square = observations.moments[numbers].sum(axis=0) / np.float64(total)
        yield PartCount(
            name=name,
            classes=len(numbers),
            images=int(class_counts[numbers].sum()),
            expected_classes=subject.expected.classes.get(name) if subject.expected is not None else None,
            expected_images=subject.expected.images.get(name) if subject.expected is not None else None,
            least=int(class_counts[numbers].min()),
            most=int(class_counts[numbers].max()),
            mean=mean,
            deviation=np.sqrt(np.maximum(square - mean**2, 0)),
        )


def usability(subject: Subject, observations: Observations) -> Iterator[Finding]:
    """Faults that make a whole dataset useless."""
    if subject.fault is not None:
        yield Finding(severity="unusable", title=f"it cannot be prepared: {subject.fault}")
    if len(subject.labels) and not observations.readable.any():
        yield Finding(severity="unusable", title="no image can be read")
    if subject.dataset is not None and observations.digest != subject.dataset.digest:
        stated, now = subject.dataset.digest[:16], (observations.digest or "")[:16]
        title = f"the dataset was altered after it was written: its digest is {now}..., but {stated}... is stated; prepare it again"
        yield Finding(severity="unusable", title=title)


def source_flaws(subject: Subject) -> Iterator[Finding]:
    """Reasons of `s2m2 prepare` to refuse the source, but for empty classes, which are in `class_lists`; and images that it ignores."""
    for kind, (one, many, what) in FLAWS.items():
        items = tuple(item for flaw in subject.flaws if flaw.kind == kind for item in flaw.items)
        if items:
            yield Finding(severity="finding", title=f"{count(len(items), one, many)} {what}", items=items)
    for reason in IGNORED:
        if files := subject.left_out.get(reason):
            yield Finding(severity="finding", title=left_out_text(reason, files), items=files)


def unreadable_files(subject: Subject, observations: Observations) -> Iterator[Finding]:
    """Files cut short, then files that cannot be read for another reason."""
    short = {index for index, reason in observations.unreadable.items() if any(words in reason.lower() for words in CUT_SHORT)}
    for indices, what in ((short, "cut short (truncated)"), (observations.unreadable.keys() - short, "unreadable")):
        if indices:
            items = tuple(f"{subject.image_name(index)}: {observations.unreadable[index]}" for index in sorted(indices))
            yield Finding(severity="finding", title=f"{count(len(indices), 'file')} {verb(len(indices))} {what}", items=items)


def equal_images(subject: Subject, observations: Observations) -> Iterator[Finding]:
    """Images with exactly equal pixels: in different splits, in different classes of a split, and inside a class."""
    split_of = _split_of_class(subject)
    across_splits: list[Int64[np.ndarray, " member"]] = []
    across_classes: list[Int64[np.ndarray, " member"]] = []
    inside_classes: list[Int64[np.ndarray, " member"]] = []
    for group in equal_groups(observations.hashes, observations.readable):
        classes = {int(number) for number in subject.labels[group]}
        splits = {split_of.get(number) for number in classes}
        (across_splits if len(splits) > 1 else across_classes if len(classes) > 1 else inside_classes).append(group)
    where = "in different splits", "in different classes of one split" if subject.splits else "in different classes", "inside one class"
    for groups, relation in zip((across_splits, across_classes, inside_classes), where, strict=True):
        if groups:
            yield Finding(
                severity="finding",
                title=f"{count(len(groups), 'set')} of exactly equal images {relation}, {sum(map(len, groups)):,} images in all",
                items=tuple(" = ".join(_name_with_split(subject, split_of, int(index)) for index in group) for group in groups),
                groups=tuple(tuple(map(int, group)) for group in groups),
            )


def count_differences(subject: Subject) -> Iterator[Finding]:
    """Numbers of classes or images, of a split or the whole dataset, that differ from the published ones."""
    expected = subject.expected
    if expected is None:
        return
    counts = np.bincount(subject.labels, minlength=len(subject.class_names))
    parts: dict[str, tuple[int, ...]] = {split: subject.splits.get(split, ()) for split in SPLITS}
    items = []
    for part, numbers in (parts | {ALL: tuple(range(len(subject.class_names)))}).items():
        for noun, number, right in (
            (("class", "classes"), len(numbers), expected.classes.get(part)),
            (("image", "images"), int(counts[list(numbers)].sum()), expected.images.get(part)),
        ):
            if right is not None and number != right:
                difference = f"{abs(number - right):,} {'too many' if number > right else 'missing'}"
                items.append(f"{part}: {count(number, *noun)}, but {right:,} expected, {difference}")
    if items:
        yield Finding(severity="finding", title=f"counts differ from those of {expected.dataset}", items=tuple(items))


def class_lists(subject: Subject) -> Iterator[Finding]:
    """Names of two classes, and classes without an image. No class is in two splits, or nothing would open."""
    names = subject.class_names
    repeated = sorted(name for name, times in Counter(names).items() if times > 1)
    if repeated:
        title = f"{count(len(repeated), 'name')} {verb(len(repeated), 'stands', 'stand')} for more than one class"
        yield Finding(severity="finding", title=title, items=tuple(repeated))
    empty = np.flatnonzero(np.bincount(subject.labels, minlength=len(names)) == 0)
    if len(empty):
        title = f"{count(len(empty), 'class', 'classes')} {verb(len(empty), 'has', 'have')} no image"
        yield Finding(severity="finding", title=title, items=tuple(names[number] for number in empty))


def small_splits(subject: Subject, ways: int) -> Iterator[Finding]:
    """Splits with too few classes for a task; one without any may be intended, and is a note."""
    for split in SPLITS if subject.splits else ():
        classes = len(subject.splits.get(split, ()))
        if classes == 0:
            yield Finding(severity="note", title=f"there are no {split} classes")
        elif classes < ways:
            title = f"{split} has {count(classes, 'class', 'classes')}, but a {ways}-way task needs {ways}"
            yield Finding(severity="finding", title=title)


def small_classes(subject: Subject, usable_counts: Int64[np.ndarray, " class"], shots: int, queries: int) -> Iterator[Finding]:
    """Classes with too few readable images for a task, by split."""
    need = shots + queries
    whole: dict[str, tuple[int, ...]] = {"": tuple(range(len(subject.class_names)))}
    splits: dict[str, tuple[int, ...]] = {split: subject.splits[split] for split in subject.splits} or whole
    for split, numbers in splits.items():
        small = [number for number in numbers if usable_counts[number] < need]
        if small:
            of = f" of {split}" if split else ""
            needed = f"the {need} images that {count(shots, 'shot')} and {count(queries, 'query', 'queries')} need"
            title = f"{count(len(small), 'class', 'classes')}{of} {verb(len(small), 'has', 'have')} fewer than {needed}"
            items = tuple(f"{subject.class_names[number]}: {count(int(usable_counts[number]), 'image')}" for number in small)
            yield Finding(severity="finding", title=title, items=items)


def notes(subject: Subject, observations: Observations) -> Iterator[Finding]:
    """Good to know and often intended: sizes of classes and images, one-colored and gray images, ignored files."""
    yield from _class_sizes(subject)
    outside = sorted(set(range(len(subject.class_names))) - _split_of_class(subject).keys()) if subject.splits else []
    if outside:
        title = f"{count(len(outside), 'class', 'classes')} {verb(len(outside))} in no split"
        yield Finding(severity="note", title=title, items=tuple(subject.class_names[number] for number in outside))
    constant = np.flatnonzero(observations.constant)
    if len(constant):
        title = f"{count(len(constant), 'image')} {verb(len(constant), 'has', 'have')} one color throughout"
        yield Finding(severity="note", title=title, items=tuple(subject.image_name(int(index)) for index in constant))
    if observations.gray:
        percent = 100 * observations.gray / int(observations.readable.sum())
        yield Finding(
            severity="note", title=f"{count(observations.gray, 'image')} {verb(observations.gray)} gray or black and white, {percent:.3g} %"
        )
    yield from _image_sizes(observations)
    if others := subject.left_out.get("others"):
        yield Finding(severity="note", title=left_out_text("others", others), items=others)


def _class_sizes(subject: Subject) -> Iterator[Finding]:
    counts = np.bincount(subject.labels, minlength=len(subject.class_names))
    usual, classes = np.unique(counts, return_counts=True)
    if len(usual) < 2:
        return
    mode = int(classes.argmax())
    if classes[mode] > 0.8 * len(counts):
        unusual = np.flatnonzero(counts != usual[mode])
        title = f"{classes[mode]:,} of {len(counts):,} classes have {usual[mode]:,} images each; {len(unusual):,} have not"
        yield Finding(severity="note", title=title, items=tuple(f"{subject.class_names[number]}: {counts[number]:,}" for number in unusual))
    else:
        few, many = subject.class_names[int(counts.argmin())], subject.class_names[int(counts.argmax())]
        sizes = f"from {counts.min():,} images ({few}) to {counts.max():,} ({many}), median {np.median(counts):,.4g}"
        yield Finding(severity="note", title=f"classes are of unequal size, {sizes}")


def _image_sizes(observations: Observations) -> Iterator[Finding]:
    if not observations.sizes:
        return
    common = observations.sizes.most_common(MAX_SIZES)
    if len(observations.sizes) == 1:
        (width, height), _ = common[0]
        yield Finding(severity="note", title=f"all images have {width}x{height} pixels")
        return
    widths, heights = zip(*observations.sizes, strict=True)
    extent = f"widths from {min(widths):,} to {max(widths):,}, heights from {min(heights):,} to {max(heights):,} pixels"
    listed = tuple(f"{width}x{height}: {count(number, 'image')}" for (width, height), number in common)
    yield Finding(
        severity="note", title=f"images have {len(observations.sizes):,} different sizes, {extent}; the most common are", items=listed
    )


def _split_of_class(subject: Subject) -> dict[int, Split]:
    return {number: split for split in SPLITS for number in subject.splits.get(split, ())}


def _name_with_split(subject: Subject, split_of: dict[int, Split], index: int) -> str:
    split = split_of.get(int(subject.labels[index]))
    name = subject.image_name(index)
    return f"{name} ({split})" if split is not None else name

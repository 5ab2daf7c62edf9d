"""The checks of an inspection, each a few findings or none."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
from jaxtyping import Int64

from s2m2.data.dataset import SPLITS, Split
from s2m2.data.inspection.duplicates import equal_groups
from s2m2.data.inspection.findings import Finding
from s2m2.data.inspection.observation import Observations
from s2m2.data.inspection.subject import Subject
from s2m2.data.sources.listing import LeftOut, left_out_text
from s2m2.data.sources.scanning import FlawKind
from s2m2.data.wording import count, verb

CUT_SHORT = ("truncated", "is empty")
"""What the reason says where a file ends too early."""
FLAWS: dict[FlawKind, tuple[str, str, str]] = {
    "link": ("link", "links", "cannot be followed"),
    "folder": ("class folder", "class folders", "cannot be read"),
    "missing": ("image", "images", "that a list names cannot be found"),
}
PASSED_OVER: tuple[LeftOut, ...] = ("nested", "loose")
MAX_SIZES = 5
"""Image sizes that a note lists."""


def usability(subject: Subject, seen: Observations) -> Iterator[Finding]:
    """What makes a dataset useless as a whole."""
    if subject.fault is not None:
        yield Finding(severity="unusable", title=f"it cannot be prepared: {subject.fault}")
    if len(subject.labels) and not seen.readable.any():
        yield Finding(severity="unusable", title="no image can be read")
    if subject.dataset is not None and seen.digest != subject.dataset.digest:
        stated, now = subject.dataset.digest[:16], (seen.digest or "")[:16]
        title = f"the dataset was altered after it was written: its digest is {now}..., but {stated}... is stated; prepare it again"
        yield Finding(severity="unusable", title=title)


def source_flaws(subject: Subject) -> Iterator[Finding]:
    """For what `s2m2 prepare` refuses the source, but for empty classes, which `class_lists` names; and images that it passes over."""
    for kind, (one, many, what) in FLAWS.items():
        items = tuple(item for flaw in subject.flaws if flaw.kind == kind for item in flaw.items)
        if items:
            yield Finding(severity="finding", title=f"{count(len(items), one, many)} {what}", items=items)
    for reason in PASSED_OVER:
        if number := subject.left_out.get(reason, 0):
            yield Finding(severity="finding", title=left_out_text(reason, number))


def unreadable_files(subject: Subject, seen: Observations) -> Iterator[Finding]:
    """Files cut short, then files that cannot be read for another reason."""
    short = {row for row, reason in seen.unreadable.items() if any(sign in reason.lower() for sign in CUT_SHORT)}
    for rows, what in ((short, "cut short (truncated)"), (seen.unreadable.keys() - short, "unreadable")):
        if rows:
            items = tuple(f"{subject.image_name(row)}: {seen.unreadable[row]}" for row in sorted(rows))
            yield Finding(severity="finding", title=f"{count(len(rows), 'file')} {verb(len(rows))} {what}", items=items)


def equal_images(subject: Subject, seen: Observations) -> Iterator[Finding]:
    """Images with exactly equal pixels: in different splits, in different classes of a split, and inside a class."""
    split_of = _split_of_class(subject)
    across_splits: list[Int64[np.ndarray, " member"]] = []
    across_classes: list[Int64[np.ndarray, " member"]] = []
    inside: list[Int64[np.ndarray, " member"]] = []
    for group in equal_groups(seen.hashes, seen.readable):
        classes = {int(number) for number in subject.labels[group]}
        splits = {split_of.get(number) for number in classes}
        (across_splits if len(splits) > 1 else across_classes if len(classes) > 1 else inside).append(group)
    where = "in different splits", "in different classes of one split" if subject.splits else "in different classes", "inside one class"
    for groups, place in zip((across_splits, across_classes, inside), where, strict=True):
        if groups:
            yield Finding(
                severity="finding",
                title=f"{count(len(groups), 'set')} of exactly equal images {place}, {sum(map(len, groups)):,} images in all",
                items=tuple(" = ".join(_name_with_split(subject, split_of, int(row)) for row in group) for group in groups),
                groups=tuple(tuple(map(int, group)) for group in groups),
            )


def class_lists(subject: Subject) -> Iterator[Finding]:
    """Names that stand for two classes, and classes without an image. No class is in two splits, or nothing would open."""
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
    """Splits with too few classes for a task; one with none at all may be meant, and is a note."""
    for split in SPLITS if subject.splits else ():
        classes = len(subject.splits.get(split, ()))
        if classes == 0:
            yield Finding(severity="note", title=f"there are no {split} classes")
        elif classes < ways:
            title = f"{split} has {count(classes, 'class', 'classes')}, but a {ways}-way task needs {ways}"
            yield Finding(severity="finding", title=title)


def small_classes(subject: Subject, usable: Int64[np.ndarray, " class"], shots: int, queries: int) -> Iterator[Finding]:
    """Classes with too few readable images for a task, split by split; those without any image are named elsewhere."""
    need = shots + queries
    everything = {"": tuple(range(len(subject.class_names)))}
    for split, numbers in (dict(subject.splits) or everything).items():
        small = [number for number in numbers if usable[number] < need]
        if small:
            of = f" of {split}" if split else ""
            needed = f"the {need} images that {count(shots, 'shot')} and {count(queries, 'query', 'queries')} need"
            title = f"{count(len(small), 'class', 'classes')}{of} {verb(len(small), 'has', 'have')} fewer than {needed}"
            items = tuple(f"{subject.class_names[number]}: {count(int(usable[number]), 'image')}" for number in small)
            yield Finding(severity="finding", title=title, items=items)


def notes(subject: Subject, seen: Observations) -> Iterator[Finding]:
    """What is good to know and often meant: sizes of classes and images, one-colored and gray images, what was left out."""
    yield from _class_sizes(subject)
    outside = sorted(set(range(len(subject.class_names))) - _split_of_class(subject).keys()) if subject.splits else []
    if outside:
        title = f"{count(len(outside), 'class', 'classes')} {verb(len(outside))} in no split"
        yield Finding(severity="note", title=title, items=tuple(subject.class_names[number] for number in outside))
    constant = np.flatnonzero(seen.constant)
    if len(constant):
        title = f"{count(len(constant), 'image')} {verb(len(constant), 'has', 'have')} one color throughout"
        yield Finding(severity="note", title=title, items=tuple(subject.image_name(int(row)) for row in constant))
    if seen.gray:
        share = 100 * seen.gray / int(seen.readable.sum())
        yield Finding(severity="note", title=f"{count(seen.gray, 'image')} {verb(seen.gray)} gray or black and white, {share:.3g} %")
    yield from _image_sizes(seen)
    if others := subject.left_out.get("others", 0):
        yield Finding(severity="note", title=left_out_text("others", others))


def _class_sizes(subject: Subject) -> Iterator[Finding]:
    counts = np.bincount(subject.labels, minlength=len(subject.class_names))
    usual, classes = np.unique(counts, return_counts=True)
    if len(usual) < 2:
        return
    most = int(classes.argmax())
    if classes[most] > 0.8 * len(counts):
        unusual = np.flatnonzero(counts != usual[most])
        title = f"{classes[most]:,} of {len(counts):,} classes have {usual[most]:,} images each; {len(unusual):,} have not"
        yield Finding(severity="note", title=title, items=tuple(f"{subject.class_names[number]}: {counts[number]:,}" for number in unusual))
    else:
        few, many = subject.class_names[int(counts.argmin())], subject.class_names[int(counts.argmax())]
        sizes = f"from {counts.min():,} images ({few}) to {counts.max():,} ({many}), median {np.median(counts):,.4g}"
        yield Finding(severity="note", title=f"classes are of unequal size, {sizes}")


def _image_sizes(seen: Observations) -> Iterator[Finding]:
    if not seen.sizes:
        return
    common = seen.sizes.most_common(MAX_SIZES)
    if len(seen.sizes) == 1:
        (width, height), _ = common[0]
        yield Finding(severity="note", title=f"all images have {width}x{height} pixels")
        return
    widths, heights = zip(*seen.sizes, strict=True)
    extent = f"widths from {min(widths):,} to {max(widths):,}, heights from {min(heights):,} to {max(heights):,} pixels"
    listed = tuple(f"{width}x{height}: {count(number, 'image')}" for (width, height), number in common)
    yield Finding(severity="note", title=f"images have {len(seen.sizes):,} different sizes, {extent}; the most common are", items=listed)


def _split_of_class(subject: Subject) -> dict[int, Split]:
    return {number: split for split in SPLITS for number in subject.splits.get(split, ())}


def _name_with_split(subject: Subject, split_of: dict[int, Split], row: int) -> str:
    split = split_of.get(int(subject.labels[row]))
    name = subject.image_name(row)
    return f"{name} ({split})" if split is not None else name

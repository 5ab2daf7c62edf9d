"""`Listing`: what every reader of images on disk returns, and the rules by which all of them find classes and files."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from s2m2.data.dataset import Split
from s2m2.data.image import ImageFile, ListedImage
from s2m2.data.sources.scanning import Content, Flaw, count_nested, natural_key, scan
from s2m2.data.wording import count, verb
from s2m2.errors import InputError

LeftOut = Literal["others", "nested", "loose"]
WHY_LEFT_OUT: dict[LeftOut, tuple[str, str]] = {
    "others": ("file", "as the names are not those of images"),
    "nested": ("image", "as folders inside class folders are not entered"),
    "loose": ("image", "as what lies beside the class folders belongs to no class"),
}
"""What is passed over and counted: the noun and the reason."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Images on disk, none of them opened yet, class after class."""

    name: str
    """Name of the dataset."""
    root: Path
    images: tuple[ListedImage, ...]
    labels: tuple[int, ...]
    """Class number of each image, an index of `class_names`."""
    class_names: tuple[str, ...]
    splits: Mapping[Split, tuple[str, ...]] | None = None
    """Class names of each split, where the layout or the dataset brings them."""
    left_out: Mapping[LeftOut, int] = field(default_factory=dict)
    """Files and images that were passed over, by the reason; those above 0."""
    flaws: tuple[Flaw, ...] = ()
    """Why it cannot be prepared; whatever they name is not among the images."""
    dataset: str | None = None
    """The entry of `DATASETS` that this is, None for own images."""


def left_out_text(reason: LeftOut, number: int) -> str:
    """A sentence for the user about what was passed over."""
    noun, why = WHY_LEFT_OUT[reason]
    return f"{count(number, noun)} {verb(number)} left out, {why}"


def listing_of(
    classes: Mapping[str, Sequence[ListedImage]],
    name: str,
    root: Path,
    *,
    splits: Mapping[Split, Sequence[str]] | None = None,
    left_out: Mapping[LeftOut, int] | None = None,
    flaws: Sequence[Flaw] = (),
    dataset: str | None = None,
) -> Listing:
    """A listing of the images of each class; classes in natural order, images in the order given.

    A class without an image is a flaw, whether it is among those given or not.

    Raises:
        InputError: there is no class, or no image at all.
    """
    if not classes:
        raise InputError(f"{root} has no classes")
    names = sorted(classes, key=natural_key)
    known = {item for flaw in flaws if flaw.kind == "empty" for item in flaw.items}
    empty = [class_name for class_name in names if not classes[class_name] and class_name not in known]
    flaws = (*flaws, *(_empty(class_name, root) for class_name in empty))
    if not any(classes.values()):
        raise InputError(flaws[0].message)
    return Listing(
        name=name,
        root=root,
        images=tuple(image for class_name in names for image in classes[class_name]),
        labels=tuple(label for label, class_name in enumerate(names) for _ in classes[class_name]),
        class_names=tuple(names),
        splits=None if splits is None else {split: tuple(splits[split]) for split in splits},
        left_out={reason: number for reason, number in (left_out or {}).items() if number},
        flaws=flaws,
        dataset=dataset,
    )


def list_class_folders(folders: Mapping[str, Path], name: str, root: Path, *, above: Sequence[Content] = ()) -> Listing:
    """List the images in the folder of each class, files in natural order.

    Hidden files are passed over in silence, files that are no images are counted, and so are images in folders inside a class folder,
    which are not entered. Empty classes and what cannot be read are flaws.

    Args:
        above: the folders that the class folders lie in, whose own images and flaws count.

    Raises:
        InputError: there is no class, or no image at all.
    """
    classes: dict[str, list[ListedImage]] = {}
    left_out: Counter[LeftOut] = Counter({"loose": sum(len(content.images) for content in above)})
    flaws = [flaw for content in above for flaw in content.flaws]
    for class_name, folder in folders.items():
        classes[class_name] = []
        try:
            content = scan(folder)
        except InputError as error:
            flaws += [Flaw(kind="folder", message=str(error), items=(str(folder),)), _empty(class_name, folder)]
            continue
        classes[class_name] += [ImageFile(path=folder / file) for file in content.images]
        nested = count_nested(folder, content.folders)
        left_out.update({"others": content.others, "nested": nested})
        flaws += content.flaws
        if not content.images:
            flaws.append(_empty(class_name, folder, nested))
    return listing_of(classes, name, root, left_out=left_out, flaws=flaws)


def _empty(class_name: str, folder: Path, nested: int = 0) -> Flaw:
    hint = f"; the {nested:,} in folders inside it are not read" if nested else ""
    return Flaw(kind="empty", message=f"class {class_name} has no image in {folder}{hint}", items=(class_name,))

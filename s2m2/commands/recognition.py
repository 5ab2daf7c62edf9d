"""`s2m2 fit` and `s2m2 predict`: a model of one's own classes, and the images that it names."""

import hashlib
import shlex
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import RenderableType
from rich.table import Table

from s2m2 import __version__
from s2m2.console import console, count, literal, progress_bar, working
from s2m2.errors import InputError
from s2m2.evaluation.feature_files import read_feature_file
from s2m2.evaluation.feature_formats import READ_ENDINGS
from s2m2.io import expanded
from s2m2.recipe import FitConfig, PredictConfig
from s2m2.recipe.model_folder import MODEL, check_model_output
from s2m2.recognition.bulk import Predictions, predictions, rows_of, stored_rows
from s2m2.recognition.classifier import ImageClassifier
from s2m2.recognition.extractors import FEATURES
from s2m2.recognition.locking import model_lock
from s2m2.recognition.prediction_files import check_parquet
from s2m2.recognition.prediction_page import DoubtfulRows
from s2m2.recognition.resuming import ResumableFile, Tally
from s2m2.recognition.sharding import shard_of
from s2m2.recognition.sources import check_photos, list_photos

SHOWN = 40
"""Rows of the table on the terminal."""
NAME_WIDTH = 22
"""Characters of a name in it, so that a row fits into 80 columns."""
SETTINGS = {"backbone": "backbone", "classifier": "classifier", "unknown": "unknown", "reference": "reference", "seed": "random_state"}
"""Flags of a new model, each with its name in `ImageClassifier`."""
SHOWN_CLASSES = 20
"""Classes whose counts are printed."""


def fit_command(config: FitConfig) -> None:
    """Fit and save a model; print what was left out, the classes, what its probabilities are worth, and the next command.

    Raises:
        InputError: the output holds something else, an image or a setting is wrong, or the model cannot be written.
    """
    _expect_large_images()
    start = time.perf_counter()
    check_model_output(config.output, add=config.add, overwrite=config.overwrite)
    # From before the model is read until it is saved: what `serve` learns in between would be lost.
    with model_lock(config.output) if (config.output / MODEL).is_file() else nullcontext():
        model = _model_to_extend(config) if config.add else _new_model(config)
        known = len(model.classes_) if config.add else 0
        images, labels = _labeled(config.images, model.backbone == FEATURES)
        with working(f"reading {config.images}"):
            model.partial_fit(images, labels) if config.add else model.fit(images, labels)
        for note in model.notes_:
            _say(note)
        model.save(config.output, overwrite=config.add or config.overwrite)
    _print_classes(model, known)
    _print_report(model, config.page)
    _say(f"model in {config.output} after {time.perf_counter() - start:.1f} s")
    _say(f"next: s2m2 predict {shlex.quote(str(config.output))} PHOTOS --output predictions.csv")


def predict_command(config: PredictConfig) -> int:
    """Name images and return the exit code: 0, or 1 if some could not be read (0 then too of a process beside others).

    Raises:
        InputError: the model or the output cannot be used, or there is no image.
    """
    if config.output is not None and config.output.suffix == ".parquet":
        check_parquet()
    _expect_large_images()
    shard = shard_of(config.shard)
    model = ImageClassifier.load(config.model, device=config.device or shard.device, trust_code=config.trust_code)
    model.batch_size = config.batch_size
    model.unknown = model.unknown if config.unknown is None else config.unknown
    check_photos(config.photos)
    photos: Iterator[Any] = list_photos(config.photos)
    if model.backbone == FEATURES:
        photos = stored_rows(photos, model.support_.features.shape[1])
    photos = islice(photos, shard.index, None, shard.count)
    start, output = time.perf_counter(), None if config.output is None else shard.name_of(config.output)
    page = None if config.page is None else DoubtfulRows(model)
    if output is None:
        tally = _print_predictions(_named(model, photos, config.coverage, page))
    else:
        tally = _write_predictions(config, model, photos, output, page, empty=shard.count > 1)
    if not tally.images and shard.count == 1:
        raise InputError(f"there is no image in {' '.join(config.photos)}")
    _print_tally(tally, output, time.perf_counter() - start)
    if page is not None and config.page is not None:
        _say(f"page in {page.write(config.page)}")
    return 1 if tally.unreadable and not shard.launched else 0


def _expect_large_images() -> None:
    """Photos of 100 megapixels are no surprise here; Pillow refuses those of twice its limit."""
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)


def _new_model(config: FitConfig) -> ImageClassifier:
    asked = {name: getattr(config, flag) for flag, name in SETTINGS.items() if getattr(config, flag) is not None}
    return ImageClassifier(**asked, batch_size=config.batch_size, device=config.device)


def _model_to_extend(config: FitConfig) -> ImageClassifier:
    """The model in the output.

    Raises:
        InputError: a flag asks for another model than that.
    """
    model = ImageClassifier.load(config.output, device=config.device, trust_code=config.trust_code)
    for flag, name in SETTINGS.items():
        asked, own = getattr(config, flag), getattr(model, name)
        if asked is not None and (flag == "reference" or asked != own):
            kept = "" if flag == "reference" else f", {own}"
            raise InputError(f"--{flag} {asked} is for a new model; the one in {config.output} keeps its own{kept}")
    model.batch_size = config.batch_size
    return model


def _labeled(images: Path, of_features: bool) -> tuple[Any, Any]:
    """The images, or the features and labels of a file."""
    if of_features:
        if images.suffix not in READ_ENDINGS and not images.is_file():
            raise InputError(f"IMAGES is {images}, but a model of features is fitted to a feature file, such as .npz, .pt or .csv")
        features = read_feature_file(images)
        return features.features.numpy(), [features.class_names[label] for label in features.labels.tolist()]
    if images.suffix in READ_ENDINGS and images.suffix != ".csv":  # which is a list of images
        raise InputError(f"{images} holds features; --backbone features fits a model to them")
    return images, None


def _print_classes(model: ImageClassifier, known: int) -> None:
    images = Counter(model.support_.labels)
    counts = {label: images[label] for label in model.classes_.tolist()}
    more = f", {len(counts) - known} of them new" if 0 < known < len(counts) else ""
    _say(f"{count(len(counts), 'class', 'classes')}{more}, {count(sum(counts.values()), 'image')}")
    for label, number in islice(counts.items(), SHOWN_CLASSES):
        _say(f"  {number:>5}  {label}")
    if len(counts) > SHOWN_CLASSES:
        _say(f"  and {len(counts) - SHOWN_CLASSES:,} more classes")


def _print_report(model: ImageClassifier, page: Path | None) -> None:
    """What the model is worth on its own images."""
    report = model.report()
    _say(report.text())
    if page is None:
        _say("--page FILE.html shows this with the images")
    else:
        report.to_html(page)
        _say(f"page in {page}")


def _named(model: ImageClassifier, photos: Iterator[Any], coverage: float, page: DoubtfulRows | None) -> Iterator[Predictions]:
    """Predictions, which go to the page as well if there is one."""
    for part in predictions(model, photos, coverage, thumbnails=page is not None):
        if page is not None:
            page.add(part)
        yield part


def _write_predictions(
    config: PredictConfig, model: ImageClassifier, photos: Iterator[Any], output: Path, page: DoubtfulRows | None, *, empty: bool
) -> Tally:
    call = {
        "s2m2": __version__,
        "model": hashlib.sha256((expanded(config.model) / MODEL).read_bytes()).hexdigest(),
        "photos": list(config.photos),
        "coverage": config.coverage,
        "unknown": model.unknown,
    }
    file = ResumableFile(output, model.classes_.tolist(), call, overwrite=config.overwrite)
    if file.done:
        _say(f"going on after {count(file.tally.images, 'image')} that are named already")
    photos = file.remaining(photos, lambda photo: photo.name if model.backbone == FEATURES else str(photo))
    with progress_bar("naming", None, "images", done=file.tally.images) as advance:
        return file.write(_named(model, photos, config.coverage, page), advance, empty=empty)


def _print_predictions(batches: Iterator[Predictions]) -> Tally:
    """A table of the first images, a line each."""
    table = Table(box=None, pad_edge=False)
    table.add_column("image", no_wrap=True)
    table.add_column("class", no_wrap=True, overflow="ellipsis", max_width=NAME_WIDTH)
    table.add_column("sure", justify="right", no_wrap=True)
    table.add_column("or", no_wrap=True, overflow="ellipsis", max_width=NAME_WIDTH)
    tally = Tally()
    with progress_bar("naming", None, "images") as advance:
        for batch in batches:
            for row in islice(rows_of(batch), max(SHOWN - tally.images, 0)):
                table.add_row(literal(_tail(row["file"])), *_cells(row))
            tally += Tally.of(batch)
            advance(len(batch.files))
    console.print(table)
    if tally.images > SHOWN:
        _say(f"and {tally.images - SHOWN:,} more; --output predictions.csv writes them all")
    return tally


def _cells(row: Mapping[str, Any]) -> tuple[RenderableType, ...]:
    if row["error"] is not None:
        return literal("not read", "red"), "", ""
    name = literal("none of these", "yellow") if row["label"] is None else literal(row["label"])
    others = ", ".join(label for label in row["alternatives"] if label != row["label"])
    return name, f"{row['probability']:.1%}", literal(others)


def _tail(name: str) -> str:
    """The end of a long name, which tells it from others."""
    return name if len(name) <= NAME_WIDTH else f"…{name[1 - NAME_WIDTH :]}"


def _print_tally(tally: Tally, output: Path | None, seconds: float) -> None:
    where = f"; predictions in {output}" if output is not None else ""
    named = tally.images - tally.unknown - tally.unreadable
    _say(f"{count(tally.images, 'image')} in {seconds:.1f} s: {named:,} named, {tally.unknown:,} unknown{where}")
    if tally.unreadable:
        more = "" if tally.unreadable == 1 else f", and {tally.unreadable - 1:,} more"
        _say(f"{count(tally.unreadable, 'image')} could not be read: {tally.errors[0]}{more}")


def _say(text: str) -> None:
    console.print(literal(text), soft_wrap=True)

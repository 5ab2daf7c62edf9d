"""`s2m2 suggest`: which unlabeled images to label next, as a list to correct and to learn from."""

import os
import shlex
from pathlib import Path

from s2m2.console import console, count, literal, working
from s2m2.errors import InputError
from s2m2.escaping import csv_cell
from s2m2.io import write_text
from s2m2.recipe import SuggestConfig
from s2m2.recognition.classifier import ImageClassifier
from s2m2.recognition.resuming import check_writable
from s2m2.recognition.sources import check_photos, list_photos
from s2m2.recognition.suggest import Suggestions, suggest
from s2m2.reports.tables import csv_text


def suggest_command(config: SuggestConfig) -> None:
    """Print the suggestions, the most useful first, and write them.

    Raises:
        InputError: the model or the output cannot be used, or no image can be read.
    """
    if config.output is not None:
        if config.output.exists() and not config.overwrite:
            raise InputError(f"--output {config.output} is there already; --overwrite true replaces it")
        check_writable(config.output)
    model = ImageClassifier.load(config.model, device=config.device, trust_code=config.trust_code)
    model.batch_size = config.batch_size
    check_photos(config.photos)
    with working("reading"):
        suggestions = suggest(model, list_photos(config.photos), config.count)
    for one in suggestions:
        _say(f"{one.photo}: {one.reason}; perhaps {one.label} ({one.probability:.0%}); stands for {count(one.similar, 'image')}")
    skipped = f"; {count(len(suggestions.skipped), 'image')} could not be read" if suggestions.skipped else ""
    _say(f"{len(suggestions)} of {count(suggestions.photos, 'image')}{skipped}")
    if config.output is not None:
        _write(config.output, suggestions)
        model_folder, file = shlex.quote(str(config.model)), shlex.quote(str(config.output))
        _say(
            f"list in {config.output}; correct its labels and fill the empty ones, then: s2m2 fit {file} --output {model_folder} --add true"
        )


MIN_PROBABILITY = 0.5
"""From which a class is proposed as a label; below, the model would mostly teach itself mistakes."""


def _write(output: Path, suggestions: Suggestions) -> None:
    """A list as `s2m2 fit` reads it: names are relative to its folder."""
    folder = output.absolute().parent
    rows = [
        {
            "filename": _relative(one.photo, folder),
            "label": str(one.label) if one.probability >= MIN_PROBABILITY else "",  # fit refuses an empty one: nobody has looked
            "probability": f"{one.probability:.6f}",
            "reason": one.reason,
            "similar": one.similar,
        }
        for one in suggestions
    ]
    write_text(output, csv_text(rows))


def _relative(photo: str, folder: Path) -> str:
    name = os.path.relpath(photo, folder)
    return name if csv_cell(name) == name else f"./{name}"


def _say(text: str) -> None:
    console.print(literal(text), soft_wrap=True)

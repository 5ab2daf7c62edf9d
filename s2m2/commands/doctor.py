"""`s2m2 doctor`: a dataset is looked at before anything is trained on it."""

import os
import re
import time
from pathlib import Path

from rich.table import Table

from s2m2.console import console, literal
from s2m2.data.inspection import Diagnosis, Finding, Subject, diagnose, observe, subject_of
from s2m2.data.wording import first_named
from s2m2.errors import InputError
from s2m2.recipe import DoctorConfig
from s2m2.recipe.doctor import NAME
from s2m2.reporting.doctor import triple, verdict, write_doctor_page

NEXT_LINE = "\n    "
LABELS = {"unusable": "not usable", "finding": "finding", "note": "note"}


def doctor_command(config: DoctorConfig) -> int:
    """Look at every image, say what was found, write the page, and return the exit code: 0 sound, 1 findings, 2 not usable.

    Raises:
        InputError: there is nothing to look at, or the page cannot be where it should.
    """
    began = time.perf_counter()
    subject = subject_of(
        config.data, dataset=config.dataset, splits=config.splits, seed=config.seed, box=config.box, rotated=config.rotated
    )
    page = page_path(config.output, subject) if config.output is not None else None
    seen = observe(subject, config.workers)
    diagnosis = diagnose(subject, seen, ways=config.ways, shots=config.shots, queries=config.queries)
    console.print(_counts(subject, diagnosis))
    _say(f"mean {triple(diagnosis.parts[-1].mean)}, standard deviation {triple(diagnosis.parts[-1].deviation)} of red, green and blue")
    for finding in diagnosis.findings:
        _print_finding(finding)
    _say(f"{subject.name}: {verdict(diagnosis)}; {len(subject.labels):,} images in {time.perf_counter() - began:.1f} s")
    if page is not None:
        task = f"{config.ways}-way {config.shots}-shot tasks of {config.queries} queries a class"
        try:
            write_doctor_page(page, subject, seen, diagnosis, task=task, images=config.images, workers=config.workers)
        except OSError as error:
            raise InputError(f"cannot write --output {page}: {error.strerror or error}") from error
        _say(f"page in {page}")
    return diagnosis.exit_code


def page_path(output: str, subject: Subject) -> Path:
    """Where the page goes, the name of the dataset filled in.

    Raises:
        InputError: it would lie inside the data, something that is no file is there, or nothing may be written there.
    """
    name = re.sub(r"[^\w.-]+", "-", subject.name).strip("-.") or "data"
    path = Path(output.replace(NAME, name)).expanduser()
    if path.resolve().is_relative_to(Path(subject.place).expanduser().resolve()):
        raise InputError(f"--output {path} lies inside {subject.place}, which is to be left as it is")
    if path.exists() and not path.is_file():
        raise InputError(f"--output {path} is there already, and is no file")
    above = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"--output {path} cannot be written: {above} is {'write-protected' if above.is_dir() else 'no folder'}")
    return path


def _counts(subject: Subject, diagnosis: Diagnosis) -> Table:
    expected = subject.expected is not None
    dataset = Table(title=literal(subject.name, "dataset.title"))
    for heading in ("split", "classes", *(["expected"] if expected else []), "images", *(["expected"] if expected else []), "a class"):
        dataset.add_column(heading, justify="left" if heading == "split" else "right")
    for part in diagnosis.parts:
        numbers = [part.classes, *([part.expected_classes] if expected else []), part.images]
        numbers += [part.expected_images] if expected else []
        spread = f"{part.least:,}" if part.least == part.most else f"{part.least:,} to {part.most:,}"
        dataset.add_row(part.name, *("" if number is None else f"{number:,}" for number in numbers), spread)
    return dataset


def _print_finding(finding: Finding) -> None:
    _say(f"{LABELS[finding.severity]}: {finding.title}")
    if finding.items:  # The page has them all.
        _say(f"    {first_named(finding.items, separator=NEXT_LINE)}")


def _say(text: str) -> None:
    console.print(literal(text), soft_wrap=True)

"""`s2m2 prepare` and `s2m2 doctor`: images on disk become a dataset, and are checked. Neither imports torch."""

import time

from s2m2.console import console, first_named, literal
from s2m2.data import prepare as preparation
from s2m2.data.decode import Reading
from s2m2.data.inspection import Finding, counts_table, dataset_subject, diagnose, observe, page_path, subject_of
from s2m2.data.inspection.diagnosis import FINDINGS, SOUND, count_differences
from s2m2.errors import InputError
from s2m2.recipe import DoctorConfig, PrepareConfig
from s2m2.reports.dataset_page import rgb_text, verdict, write_dataset_page


def prepare_command(config: PrepareConfig) -> int:
    """Write the dataset, print its counts, size and digest, and return the exit code: 1 if counts differ from the published ones, else 0.

    Raises:
        InputError: the download, the source, an image, the splits or the output cannot be used.
    """
    start = time.perf_counter()
    dataset = preparation.prepare(**vars(config))
    seconds = time.perf_counter() - start
    console.print(preparation.counts_table(dataset))
    height, width = dataset.images.shape[1:3]
    console.print(f"{len(dataset.images):,} images of {height}x{width} pixels in {seconds:.1f} s, digest {dataset.digest[:16]}")
    console.print(literal(f"dataset in {config.output}"), soft_wrap=True)
    differences = tuple(count_differences(dataset_subject(dataset, path=str(config.output))))
    for finding in differences:
        _print_finding(finding)
    return FINDINGS if differences else SOUND


NEXT_LINE = "\n    "


def doctor_command(config: DoctorConfig) -> int:
    """Read every image, print the findings, write the page, and return the exit code: 0 sound, 1 findings, 2 not usable.

    Raises:
        InputError: there is no image, or the page cannot be written.
    """
    start = time.perf_counter()
    subject = subject_of(
        config.data,
        dataset=config.dataset,
        splits=config.splits,
        seed=config.seed,
        box=config.box,
        rotated=config.rotated,
        reading=Reading(max_megapixels=config.max_megapixels, gray_bits=config.gray_bits),
    )
    page = page_path(config.output, subject) if config.output is not None else None
    observations = observe(subject, config.workers)
    diagnosis = diagnose(subject, observations, ways=config.ways, shots=config.shots, queries=config.queries)
    console.print(counts_table(subject, diagnosis))
    _say(f"mean {rgb_text(diagnosis.parts[-1].mean)}, standard deviation {rgb_text(diagnosis.parts[-1].deviation)} of red, green and blue")
    for finding in diagnosis.findings:
        _print_finding(finding)
    _say(f"{subject.name}: {verdict(diagnosis)}; {len(subject.labels):,} images in {time.perf_counter() - start:.1f} s")
    if page is not None:
        task = f"{config.ways}-way {config.shots}-shot tasks of {config.queries} queries a class"
        try:
            write_dataset_page(page, subject, observations, diagnosis, task=task, images=config.images, workers=config.workers)
        except OSError as error:
            raise InputError(f"cannot write --output {page}: {error.strerror or error}") from error
        _say(f"page in {page}")
    return diagnosis.exit_code


def _print_finding(finding: Finding) -> None:
    _say(f"{'not usable' if finding.severity == 'unusable' else finding.severity}: {finding.title}")
    if finding.items:  # The page has them all.
        _say(f"    {first_named(finding.items, separator=NEXT_LINE)}")


def _say(text: str) -> None:
    console.print(literal(text), soft_wrap=True)

"""`s2m2 export`: the weights of a run with a model card, in a folder that is scored like a run and can be given away."""

from pathlib import Path

from s2m2.console import console
from s2m2.recipe import ExportConfig
from s2m2.reports.card import score_command
from s2m2.reports.exporting import export_run
from s2m2.runs.sharing import rounded, shareable  # noqa: F401 (shim)


def export_command(config: ExportConfig) -> None:
    """Write the folder, and print its size and the command that scores it.

    Raises:
        InputError: the run has no such weights, they do not fit the precision, or the folder exists or cannot be written.
    """
    export = export_run(config)
    if export.uncounted:
        console.print(f"warning: the card counts no images: {export.uncounted}", markup=False, soft_wrap=True)
    count = export.results
    scores = f"{count:,} score{'s' if count != 1 else ''}" if count else "no scores, as the run holds none of them"
    console.print(f"{export.stage} in {export.precision}, a model card with {scores}", markup=False, soft_wrap=True)
    _print_largest(export.folder)
    console.print(f"`{score_command(str(export.folder), export.missing)}` scores it", markup=False, soft_wrap=True)


def _print_largest(folder: Path) -> None:
    sizes = {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    largest = max(sizes, key=lambda path: sizes[path])
    size = f"{sizes[largest] / 2**20:.2f} MiB of {sum(sizes.values()) / 2**20:.2f}"
    console.print(f"largest file: {largest}, {size}", markup=False, soft_wrap=True)

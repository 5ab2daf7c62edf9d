"""The arguments that all studies take."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from s2m2.data.catalog import load_dataset
from s2m2.errors import InputError

HERE = Path(__file__).resolve().parent


def at_least(minimum: int) -> Callable[[str], int]:
    """Reads a whole number of an argument, and refuses a smaller one."""

    def number(text: str) -> int:
        if int(text) < minimum:
            raise argparse.ArgumentTypeError(f"{text} is less than {minimum}")
        return int(text)

    return number


def parse(
    description: str | None,
    argv: Sequence[str] | None,
    *,
    seeds: int,
    images: bool = True,
    more: Callable[[argparse.ArgumentParser], object] = lambda parser: None,
) -> argparse.Namespace:
    """The arguments of a study, and what its report states of them; a wrong one ends the program with one line.

    Args:
        more: adds a study's own arguments.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=HERE / "reports", help="folder of the dated report")
    parser.add_argument("--figures", type=Path, default=HERE.parents[1] / "docs" / "figures", help="folder of the figures")
    parser.add_argument("--seeds", type=int, default=seeds, help="repetitions, 2 or more")
    parser.add_argument("--quick", action="store_true", help="a smoke test; its numbers are meaningless")
    parser.add_argument("--work", type=Path, default=Path("runs/studies"), help="folder of findings, from which a stopped study resumes")
    if images:
        parser.add_argument("--dataset", "--table", default="glyphs", help="images: glyphs, or a folder that `s2m2 prepare` wrote")
        parser.add_argument("--longer", type=int, default=1, help="multiplier of the epochs")
        parser.add_argument("--processes", type=int, default=2, help="parallel trainings of one thread each; 0: in this process")
    more(parser)
    options = parser.parse_args(argv)
    if options.seeds < 2:
        parser.error("--seeds: an interval needs 2 or more")
    options.images, options.measured = "", ""
    if images:
        if options.longer < 1:
            parser.error("--longer: 1 or more")
        if options.processes < 0:
            parser.error("--processes: 0 or more")
        try:
            dataset = load_dataset(options.dataset)
        except InputError as error:
            parser.error(f"--dataset: {error}")
        options.digest, options.images = dataset.digest, f"Images: {dataset.name}, digest {dataset.digest[:12]}."
    options.description, options.argv = (description or "").splitlines()[0], argv
    return options

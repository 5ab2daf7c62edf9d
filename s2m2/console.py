"""Terminal output: the console of all commands, one style of progress bar, and silence for calls from Python."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from s2m2.escaping import encodable as encodable


class LiteralConsole(Console):
    """Shows strings as they are, in tables too: no markup, no emoji by name, and escapes for control characters and for what the stream
    cannot show, `±` in ASCII say.
    """

    def __init__(self) -> None:
        super().__init__(highlight=False, markup=False, emoji=False)

    def print(self, *objects: Any, **options: Any) -> None:
        """As rich does it."""
        tolerate(self.file)
        super().print(*objects, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """A string as text."""
        return super().render_str(encodable(text), **options)


def tolerate(stream: Any) -> None:
    """Have a text stream write escapes for characters that its encoding lacks, in place of an error that ends hours of work."""
    if getattr(stream, "errors", None) == "strict" and hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")


console = LiteralConsole()
"""Standard output of all commands. Errors go to standard error instead."""

LINE_SECONDS = 30.0
"""Between two lines of progress where there is no terminal."""

Advance = Callable[[int], None]
"""Advances a progress bar by a number of items."""


@contextmanager
def quiet(silent: bool = True) -> Iterator[None]:
    """No console output and no progress bars inside; `quiet(False)` changes nothing."""
    before = console.quiet
    console.quiet = before or silent
    try:
        yield
    finally:
        console.quiet = before


class RateColumn(ProgressColumn):
    """Items per second, over the last few seconds."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        """The rate as text; empty before the first measurement."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} {self.unit}/s" if speed else "", style="progress.data.speed")


@contextmanager
def progress_bar(
    description: str, total: int | None, unit: str, *, shown: bool = True, done: int = 0, lines: bool = False
) -> Iterator[Advance]:
    """A bar with count, rate, elapsed and remaining time; it disappears at the end, so that only results stay on screen.

    Args:
        total: None: not known.
        unit: name of the items, in the plural.
        shown: False shows nothing (processes other than the first). Files, pipes and `quiet` show nothing either.
        done: items done by earlier starts of a resumed run.
        lines: into files and pipes, print a line every `LINE_SECONDS`.
    """
    if lines and shown and not console.is_terminal:
        yield _line_printer(description, total, unit, done)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not _is_visible(shown)) as progress:
        task = progress.add_task(encodable(description), total=total, completed=done)
        yield lambda count: progress.advance(task, count)


def _line_printer(description: str, total: int | None, unit: str, done: int) -> Advance:
    """What a bar tells, as a line now and then."""
    start = last = time.monotonic()
    before = done

    def advance(count: int) -> None:
        nonlocal done, last
        done += count
        if time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            whole, rate = f" of {total:,}" if total is not None else "", (done - before) / (last - start)
            console.print(literal(f"{description}: {done:,}{whole} {unit}, {rate:,.0f} {unit}/s"), soft_wrap=True)

    return advance


@dataclass(frozen=True, kw_only=True)
class ProgressLine:
    """A progress bar with a status text."""

    progress: Progress
    task: TaskID

    def advance(self, count: int) -> None:
        """Add finished items."""
        self.progress.advance(self.task, count)

    def tell(self, description: str, status: str) -> None:
        """Update the description and the status."""
        self.progress.update(self.task, description=encodable(description), status=encodable(status))


@contextmanager
def progress_line(description: str, total: int, unit: str, *, shown: bool = True, done: int = 0) -> Iterator[ProgressLine]:
    """A bar for hours of work: description, rate, time left, and a status that `tell` updates. Arguments as for `progress_bar`."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=12),
        RateColumn(unit),
        TimeRemainingColumn(),
        TextColumn("left"),
        TextColumn("{task.fields[status]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
    )
    with Progress(*columns, console=console, transient=True, expand=True, disable=not _is_visible(shown)) as progress:
        task = progress.add_task(encodable(description), total=total, completed=done, status="")
        yield ProgressLine(progress=progress, task=task)


def _is_visible(shown: bool) -> bool:
    return shown and console.is_terminal and not console.quiet


def literal(text: str, style: str = "") -> Text:
    """Text with names of files or classes, without interpretation of square brackets as markup or of `:car:` as an emoji."""
    return Text(encodable(text), style=style)


MAX_NAMES = 5
"""Names that a message lists before it counts the rest."""


def first_named(names: Sequence[str], separator: str = ", ") -> str:
    """The first names and the number of the rest: `a, b, c, d, e and 7 more`."""
    rest = len(names) - MAX_NAMES
    more = f"{' ' if separator == ', ' else separator}and {rest:,} more" if rest > 0 else ""
    return separator.join(names[:MAX_NAMES]) + more


def count(number: int, one: str, many: str | None = None) -> str:
    """A number and its noun: `1 file`, `2,300 files`, `3 classes`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def verb(number: int, one: str = "is", many: str = "are") -> str:
    """The form of a verb that goes with a number."""
    return one if number == 1 else many


def duration(seconds: float | int) -> str:
    """Seconds in words: `8.4 s`, `3 min 05 s`, `2 h 07 min`."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"

"""Terminal output: the console of all commands, one style of progress bar, and silence for calls from Python."""

import threading
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


class Terminal(Console):
    """Prints whatever names and numbers there are: no markup, and escapes for what the stream cannot show, `±` in ASCII say."""

    last_print = 0.0
    """Time of the last output, of `time.monotonic`."""

    def print(self, *objects: Any, **options: Any) -> None:
        """As rich does it."""
        tolerate(self.file)
        super().print(*objects, **options)
        self.last_print = time.monotonic()

    def render_str(self, text: str, **options: Any) -> Text:
        """A string as text, in tables too: with escapes for control characters."""
        return super().render_str(encodable(text), **options)


def tolerate(stream: Any) -> None:
    """Have a text stream write escapes for characters that its encoding lacks, in place of an error that ends hours of work."""
    if getattr(stream, "errors", None) == "strict" and hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")


console = Terminal(highlight=False, markup=False, emoji=False)
"""Standard output of all commands. Errors go to standard error instead."""

LINE_SECONDS = 30.0
"""Between two lines of progress where there is no terminal."""
MIN_WAIT = 0.01
"""Seconds between two looks whether it is time."""

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
def progress_bar(description: str, total: int | None, unit: str, *, shown: bool = True, done: int = 0) -> Iterator[Advance]:
    """A bar with count, rate, elapsed and remaining time; it disappears at the end, so that only results stay on screen.

    Args:
        total: None: not known.
        unit: name of the items, in the plural.
        shown: False shows nothing (processes other than the first). `quiet` shows nothing either; files and pipes get a line every
            `LINE_SECONDS`.
        done: items done by earlier starts of a resumed run.
    """
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
        with told(_line_of(progress, unit, done), shown=shown):
            yield lambda count: progress.advance(task, count)


def _line_of(progress: Progress, unit: str, done: int) -> Callable[[], str]:
    """What a bar tells, as a line."""
    start = time.monotonic()

    def line() -> str:
        task = progress.tasks[0]
        whole, rate = f" of {task.total:,.0f}" if task.total is not None else "", (task.completed - done) / (time.monotonic() - start)
        status = task.fields.get("status")
        return f"{task.description}: {task.completed:,.0f}{whole} {unit}, {rate:,.0f} {unit}/s{f', {status}' if status else ''}"

    return line


_telling: list[Callable[[], str]] = []
"""What goes on, the innermost last."""


@contextmanager
def told(line: Callable[[], str], *, shown: bool = True) -> Iterator[None]:
    """Into files and pipes, print a line whenever nothing was printed for `LINE_SECONDS`, that of the innermost work.

    Args:
        line: what to print.
        shown: False prints nothing.
    """
    if not shown or console.is_terminal or console.quiet:
        yield
        return
    ended, outermost = threading.Event(), not _telling
    _telling.append(line)
    if outermost:
        console.last_print = time.monotonic()
        threading.Thread(target=_tell_until, args=(ended,), daemon=True, name="progress lines").start()
    try:
        yield
    finally:
        ended.set()
        _telling.remove(line)


def _tell_until(ended: threading.Event) -> None:
    while not ended.wait(max(console.last_print + LINE_SECONDS - time.monotonic(), MIN_WAIT)):
        lines = _telling[-1:]
        if lines and time.monotonic() - console.last_print >= LINE_SECONDS:
            try:
                console.print(literal(lines[0]()), soft_wrap=True)
            except (OSError, ValueError):  # standard output is gone, which the work itself will notice or not need
                return


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
        with told(_line_of(progress, unit, done), shown=shown):
            yield ProgressLine(progress=progress, task=task)


@contextmanager
def working(description: str) -> Iterator[None]:
    """A spinner during work of unknown length; into files and pipes, a line at its start and then as `told` says."""
    if console.is_terminal:
        with console.status(literal(description)):
            yield
        return
    start = time.monotonic()
    console.print(literal(description), soft_wrap=True)
    with told(lambda: f"{description}: {duration(time.monotonic() - start)}"):
        yield


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

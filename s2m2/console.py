"""What a person sees while waiting: one style of progress bar for everything long."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

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

console = Console(highlight=False)
"""Where commands print. Errors go to standard error instead."""

Advance = Callable[[int], None]
"""Tells a progress bar that so many more items are done."""


class RateColumn(ProgressColumn):
    """Items a second, over the last while."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        """The rate as text, blank until there is one."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} {self.unit}/s" if speed else "", style="progress.data.speed")


@contextmanager
def progress_bar(description: str, total: int, unit: str, *, shown: bool = True, done: int = 0) -> Iterator[Advance]:
    """A bar with count, rate, elapsed time and time left; it goes when the work is done, so that only results stay on screen.

    Args:
        unit: what is counted, in the plural.
        shown: False draws nothing (other processes than the first); nor is anything drawn into a file or pipe.
        done: items done before, by a run that is continued.
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
    with Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal)) as progress:
        task = progress.add_task(encodable(description), total=total, completed=done)
        yield lambda count: progress.advance(task, count)


@dataclass(frozen=True, kw_only=True)
class ProgressLine:
    """A progress bar that is told how the work goes."""

    progress: Progress
    task: TaskID

    def advance(self, count: int) -> None:
        """So many more items are done."""
        self.progress.advance(self.task, count)

    def tell(self, description: str, status: str) -> None:
        """What is under way, and how it goes."""
        self.progress.update(self.task, description=encodable(description), status=encodable(status))


@contextmanager
def progress_line(description: str, total: int, unit: str, *, shown: bool = True, done: int = 0) -> Iterator[ProgressLine]:
    """A bar for work of hours: what is under way, rate and time left, then a text that `tell` brings up to date. See `progress_bar`."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=12),
        RateColumn(unit),
        TimeRemainingColumn(),
        TextColumn("left"),
        TextColumn("{task.fields[status]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
    )
    with Progress(*columns, console=console, transient=True, expand=True, disable=not (shown and console.is_terminal)) as progress:
        task = progress.add_task(encodable(description), total=total, completed=done, status="")
        yield ProgressLine(progress=progress, task=task)


def literal(text: str, style: str = "") -> Text:
    """Text with names of files or classes in it, shown as it is: square brackets pass for no markup, `:car:` for no image."""
    return Text(encodable(text), style=style)


def encodable(text: str) -> str:
    """The same with escapes for bytes of file names that are no UTF-8, which no terminal takes."""
    return text.encode(errors="backslashreplace").decode()

"""The time of the parts of a training step, compared with the bare step: forward, backward and update on images on the device."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import NamedTuple

import torch
from rich.table import Table

from s2m2.training.step import TrainingStep

PARTS = ("waiting", "augmentation", "forward", "backward", "optimizer", "everything else")
"""The parts of a step: waiting for images, their augmentation, the three parts of learning, and the rest."""

Block = Callable[[int], Callable[[], object]]
"""Prepares a repeat (0 is the warm-up) and returns the work to be timed."""


@dataclass(frozen=True, kw_only=True)
class StepProfile:
    """The time of the steps of one stage."""

    stage: str
    batch_size: int
    """Images of a step, over all processes, before rotations or copies."""
    parts: Mapping[str, float]
    """Seconds of one step by part, means over all real steps."""
    bare: tuple[float, ...]
    """Seconds of one bare step, in each repeat."""
    real: tuple[float, ...]
    """Seconds of one real step, in each repeat."""

    @property
    def images_per_second(self) -> float:
        """Speed of the real steps; median over the repeats."""
        return self.batch_size / median(self.real)

    @property
    def bare_images_per_second(self) -> float:
        """Speed of the bare steps; median over the repeats."""
        return self.batch_size / median(self.bare)

    @property
    def fraction_of_bare(self) -> float:
        """Speed of the real steps as a fraction of that of the bare steps: median over the pairs of alternating repeats."""
        return median(bare / real for bare, real in zip(self.bare, self.real, strict=True))


class Stopwatch:
    """Adds up the time between marks by name. On a GPU the marks are events, so that nothing waits for them."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._marks: list[tuple[str, float | torch.cuda.Event]] = []

    def mark(self, part: str) -> None:
        """The work since the last mark was this part."""
        if self.device.type != "cuda":
            self._marks.append((part, time.perf_counter()))
            return
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        self._marks.append((part, event))

    def clear(self) -> None:
        """Forget all marks; the next one is the start."""
        self._marks.clear()

    def seconds(self) -> dict[str, float]:
        """Seconds by part, in order of first appearance; waits for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        seconds: dict[str, float] = {}
        for (_, before), (part, after) in zip(self._marks, self._marks[1:], strict=False):
            seconds[part] = seconds.get(part, 0.0) + _between(before, after)
        return seconds


def bare_step(step: TrainingStep) -> Callable[[int], object]:
    """The same step without reading and augmentation: always on the views of step 0, which are on the device.

    Samples within the objective, such as the stage of a mixture, are those of the step of the call.
    """
    views, labels = step.load(0)
    return lambda number: step.update(number, views, labels)


class Taken(NamedTuple):
    """The time of a repeat, in seconds."""

    wall: float
    cpu: float
    """CPU time of all threads of this process, which other work on the machine changes little."""


def timed(work: Callable[[], object], device: torch.device) -> Taken:
    """The seconds of a call, including the work of the device."""
    _wait(device)
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    _wait(device)
    return Taken(time.perf_counter() - wall, time.process_time() - cpu)


def alternate(blocks: Mapping[str, Block], repeats: int, device: torch.device) -> dict[str, list[Taken]]:
    """The time of each block in each repeat, after a warm-up round.

    Every round has all blocks, in order and in reverse order alternately, so that other load on the machine affects all of them alike.
    """
    times: dict[str, list[Taken]] = {name: [] for name in blocks}
    for number in range(repeats + 1):
        for name in list(blocks)[:: -1 if number % 2 else 1]:
            taken = timed(blocks[name](number), device)
            if number:
                times[name].append(taken)
    return times


def step_numbers(repeat: int, steps: int, total: int) -> list[int]:
    """The steps of one repeat: those after the last repeat's, starting again from 0 after the last step of the stage.

    Bare and real steps of a repeat have the same numbers, and so the same samples: mixing at an early stage costs more than at a late one.
    """
    return [number % total for number in range(repeat * steps, (repeat + 1) * steps)]


def block_of(do: Callable[[int], object], steps: int, total: int) -> Block:
    """So many steps of a stage of `total` steps, after an untimed one, so that each side starts from its own caches."""

    def ready(repeat: int) -> Callable[[], object]:
        first, *rest = step_numbers(repeat, steps + 1, total)
        do(first)
        return lambda: [do(number) for number in rest]

    return ready


def profile_step(make: Callable[[Callable[[str], None]], TrainingStep], device: torch.device, *, steps: int, repeats: int) -> StepProfile:
    """Time the parts of the steps of a stage, whose weights move and are discarded.

    Args:
        make: makes the steps of the stage from a function that they mark their parts with.
        steps: steps in each repeat.
        repeats: alternating repeats of bare and of real steps, after a warm-up.
    """
    watch = Stopwatch(device)
    step = make(watch.mark)
    bare, parts = bare_step(step), dict.fromkeys(PARTS, 0.0)

    def real_steps(repeat: int) -> Callable[[], object]:
        steps_of_repeat = block_of(step, steps, step.total)(repeat)

        def work() -> None:
            watch.clear()
            watch.mark("begin")
            steps_of_repeat()
            watch.mark("everything else")
            for part, seconds in watch.seconds().items() if repeat else ():
                parts[part] += seconds / (steps * repeats)

        return work

    step.networks.train()
    times = alternate({"real": real_steps, "bare": block_of(bare, steps, step.total)}, repeats, device)
    return StepProfile(
        stage=step.config.stage,
        batch_size=step.config.batch_size,
        parts=parts,
        bare=tuple(taken.wall / steps for taken in times["bare"]),
        real=tuple(taken.wall / steps for taken in times["real"]),
    )


def profile_table(profiles: Sequence[StepProfile]) -> Table:
    """Milliseconds and fraction of each part of a step, a column for each stage."""
    table = Table("part of a step", *(f"{profile.stage}, {profile.batch_size} images" for profile in profiles))
    totals = [sum(profile.parts.values()) for profile in profiles]
    for part in PARTS:
        times = (profile.parts[part] for profile in profiles)
        table.add_row(part, *(f"{1000 * seconds:,.2f} ms {seconds / total:6.1%}" for seconds, total in zip(times, totals, strict=True)))
    table.add_section()
    table.add_row("all", *(f"{1000 * total:,.2f} ms {1:6.1%}" for total in totals))
    return table


def speed_line(profile: StepProfile) -> str:
    """The speed of a stage, and its gap to the bare step."""
    return (
        f"{profile.stage}: {profile.images_per_second:,.1f} images/s; bare step {profile.bare_images_per_second:,.1f} images/s, "
        f"gap {1 - profile.fraction_of_bare:.1%}"
    )


def profile_metrics(profile: StepProfile) -> Mapping[str, object]:
    """A profile for JSON."""
    return {**asdict(profile), "images_per_second": profile.images_per_second, "fraction_of_bare": profile.fraction_of_bare}


def _between(before: float | torch.cuda.Event, after: float | torch.cuda.Event) -> float:
    if isinstance(before, torch.cuda.Event) and isinstance(after, torch.cuda.Event):
        return before.elapsed_time(after) / 1000
    assert isinstance(before, float)
    assert isinstance(after, float)
    return after - before


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)

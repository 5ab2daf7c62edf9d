"""How long the parts of a training step take, and how far it is from the bare step: forward, backward and update on images at hand."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

import torch

from s2m2.training.step import TrainingStep

PARTS = ("waiting", "augmentation", "forward", "backward", "optimizer", "everything else")
"""What a step marks: waiting for images, making views of them, the three parts of learning, and what is left."""

Block = Callable[[int], Callable[[], object]]
"""Makes a repeat ready, 0 being the one that is not counted, and returns the work that is timed."""


@dataclass(frozen=True, kw_only=True)
class StepProfile:
    """Where the time of the steps of one stage goes."""

    stage: str
    batch_size: int
    """Images of a step, over all processes, before they are rotated or copied."""
    parts: Mapping[str, float]
    """Seconds of one step by part, the mean over all real steps."""
    bare: tuple[float, ...]
    """Seconds of one bare step, in each repeat."""
    real: tuple[float, ...]
    """Seconds of one real step, in each repeat."""

    @property
    def images_per_second(self) -> float:
        """Of the real steps; median over the repeats."""
        return self.batch_size / median(self.real)

    @property
    def bare_images_per_second(self) -> float:
        """Of the bare steps; median over the repeats."""
        return self.batch_size / median(self.bare)

    @property
    def share(self) -> float:
        """Speed of the real steps as a share of that of the bare ones: the median over pairs of repeats, which lay side by side."""
        return median(bare / real for bare, real in zip(self.bare, self.real, strict=True))


class Stopwatch:
    """Adds up the time between marks by name. On a GPU it leaves events among the work, so that nothing waits for them."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._marks: list[tuple[str, float | torch.cuda.Event]] = []

    def mark(self, part: str) -> None:
        """What was done since the last mark was this part."""
        if self.device.type != "cuda":
            self._marks.append((part, time.perf_counter()))
            return
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        self._marks.append((part, event))

    def clear(self) -> None:
        """Forget all marks; the next one begins."""
        self._marks.clear()

    def seconds(self) -> dict[str, float]:
        """Seconds by part, in order of first appearance; waits for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        found: dict[str, float] = {}
        for (_, before), (part, after) in zip(self._marks, self._marks[1:], strict=False):
            found[part] = found.get(part, 0.0) + _between(before, after)
        return found


def bare_step(step: TrainingStep) -> Callable[[int], object]:
    """The same step without what comes before the network: it is given the views of step 0, which lie on the device, every time.

    Draws within the objective, such as where a batch is mixed, are those of the number that it is called with.
    """
    views, labels = step.load(0)
    return lambda number: step.update(number, views, labels)


class Taken(NamedTuple):
    """What a repeat took, in seconds."""

    wall: float
    cpu: float
    """Of all threads of this process together, which other work on the machine changes little."""


def timed(work: Callable[[], object], device: torch.device) -> Taken:
    """The seconds of a call, the device's work waited for."""
    _wait(device)
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    _wait(device)
    return Taken(time.perf_counter() - wall, time.process_time() - cpu)


def alternate(blocks: Mapping[str, Block], repeats: int, device: torch.device) -> dict[str, list[Taken]]:
    """What each block takes in each repeat, after one round that is not counted.

    All blocks are done in every round, in order and in reverse by turns, so that what disturbs the machine hits all of them alike.
    """
    found: dict[str, list[Taken]] = {name: [] for name in blocks}
    for number in range(repeats + 1):
        for name in list(blocks)[:: -1 if number % 2 else 1]:
            took = timed(blocks[name](number), device)
            if number:
                found[name].append(took)
    return found


def step_numbers(repeat: int, steps: int, total: int) -> list[int]:
    """The steps of one repeat: those behind the last repeat's, from 0 again behind the last of the stage.

    Bare and real steps of a repeat have the same numbers, and so the same draws: a batch mixed early is dearer than one mixed late.
    """
    return [number % total for number in range(repeat * steps, (repeat + 1) * steps)]


def block_of(do: Callable[[int], object], steps: int, total: int) -> Block:
    """So many steps of a stage of `total` steps, after one that is not timed, so that each side finds caches as it leaves them itself."""

    def ready(repeat: int) -> Callable[[], object]:
        first, *rest = step_numbers(repeat, steps + 1, total)
        do(first)
        return lambda: [do(number) for number in rest]

    return ready


def profile_step(make: Callable[[Callable[[str], None]], TrainingStep], device: torch.device, *, steps: int, repeats: int) -> StepProfile:
    """Take the steps of a stage apart. Its weights move; nothing is kept of them.

    Args:
        make: the steps of the stage, which mark their parts.
        steps: steps in each repeat.
        repeats: repeats of bare and of real steps, by turns, after one that is not counted.
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
            for part, took in watch.seconds().items() if repeat else ():
                parts[part] += took / (steps * repeats)

        return work

    step.networks.train()
    found = alternate({"real": real_steps, "bare": block_of(bare, steps, step.total)}, repeats, device)
    return StepProfile(
        stage=step.config.stage,
        batch_size=step.config.batch_size,
        parts=parts,
        bare=tuple(took.wall / steps for took in found["bare"]),
        real=tuple(took.wall / steps for took in found["real"]),
    )


def _between(before: float | torch.cuda.Event, after: float | torch.cuda.Event) -> float:
    if isinstance(before, torch.cuda.Event) and isinstance(after, torch.cuda.Event):
        return before.elapsed_time(after) / 1000
    assert isinstance(before, float)
    assert isinstance(after, float)
    return after - before


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)

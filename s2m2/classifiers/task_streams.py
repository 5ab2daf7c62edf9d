"""Random numbers of few-shot tasks: each task has a stream of its own, and those of a whole batch come from one call.

Number c of a task is output c of SplitMix64 (Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, OOPSLA 2014) with the
task's key as its state: a hash of key + (c + 1) * GAMMA. So it depends on nothing but the key and c, neither on the tasks beside it nor
on the size of a batch, and all operations are on whole numbers of 64 bits, which CPU and GPU compute alike.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from s2m2.random import Purpose, seed_for


def _signed(number: int) -> int:
    """The signed number with the same 64 bits, as torch has them."""
    return (number + 2**63) % 2**64 - 2**63


GAMMA, FIRST, SECOND = map(_signed, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
"""Step of the state and multipliers of the hash, as published."""
UNIFORM_BITS = 24
"""Bits of a uniform number: as many as float32 holds, so that it is the same in every precision."""
PIECE = 2**15
"""Numbers that a CPU hashes at once, which its cache holds."""
BLOCK_BITS = 32
"""Bits of a task's position in its block."""


def task_keys(seed: int, stream: tuple[Purpose, ...], block: int, tasks: int) -> Int64[Tensor, " task"]:
    """Keys of the tasks of a block: a function of seed, stream, number of the block and position of the task in it.

    Args:
        stream: name of the stream, of a classifier say.
        tasks: number of tasks.
    """
    state = torch.tensor([_signed(seed_for(seed, *stream))])
    return task_numbers(state, block << BLOCK_BITS, tasks)[0]


def task_numbers(keys: Int64[Tensor, " task"], first: int, count: int) -> Int64[Tensor, "task number"]:
    """Numbers `first` to `first + count - 1` of each task, 64 random bits each."""
    steps = torch.arange(first + 1, first + count + 1, device=keys.device).mul_(GAMMA)
    numbers = keys.new_empty(len(keys), count)
    rows = _rows(keys, count)
    for part, of_part in zip(numbers.split(rows), keys.split(rows), strict=True):
        _hash(torch.add(of_part[:, None], steps, out=part))
    return numbers


def task_uniforms(keys: Int64[Tensor, " task"], first: int, count: int) -> Float[Tensor, "task number"]:
    """The same numbers as uniform ones in [0, 1), float32."""
    uniform = torch.empty(len(keys), count, device=keys.device)
    rows = _rows(keys, count)
    for part, of_part in zip(uniform.split(rows), keys.split(rows), strict=True):
        part.copy_(_shifted(task_numbers(of_part, first, count), 64 - UNIFORM_BITS))
    return uniform.mul_(2.0**-UNIFORM_BITS)


def task_orders(keys: Int64[Tensor, " task"], first: int, items: int, orders: int) -> Iterator[Int64[Tensor, "task item"]]:
    """Random orders of items, one after the other: in each every task has one of its own, all equally likely.

    Args:
        first: number of each task to begin with; an order takes as many numbers as there are items.
        orders: how many.
    """
    together = max(PIECE // (len(keys) * items), 1)
    for start in range(0, orders, together):
        count = min(together, orders - start)
        yield from _order(task_numbers(keys, first + start * items, count * items).unflatten(1, (count, items))).unbind(1)


def _rows(keys: Int64[Tensor, " task"], count: int) -> int:
    """Tasks whose numbers are computed at once."""
    return max(PIECE // max(count, 1) if keys.device.type == "cpu" else len(keys), 1)


def _order(numbers: Int64[Tensor, "task order item"]) -> Int64[Tensor, "task order item"]:
    """The order of the numbers along the last axis; on a CPU by NumPy, which sorts many short rows several times as fast."""
    return torch.from_numpy(numbers.numpy().argsort(-1)) if numbers.device.type == "cpu" else numbers.argsort(-1)


def _hash(values: Int64[Tensor, "*any"]) -> None:
    """Mix the bits of each value in place: the finalizer of SplitMix64 (variant 13 of Stafford's)."""
    values.bitwise_xor_(_shifted(values, 30)).mul_(FIRST)
    values.bitwise_xor_(_shifted(values, 27)).mul_(SECOND)
    values.bitwise_xor_(_shifted(values, 31))


def _shifted(values: Int64[Tensor, "*any"], bits: int) -> Int64[Tensor, "*any"]:
    """Shifted right with zeros coming in; torch's shift brings in the sign."""
    return (values >> bits).bitwise_and_((1 << (64 - bits)) - 1)

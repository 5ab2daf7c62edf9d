"""Names of the feature transforms, and what an order of them means."""

from collections.abc import Sequence
from typing import Literal

from s2m2.recipe.checks import check

TransformName = Literal["rectify", "unit", "power", "centre_base", "centre_support", "cl2n", "peme"]
"""rectify: what is below zero becomes zero; unit: divide by the length; power: (x + 1e-6)^0.5; centre_base: subtract the mean of the base
features; centre_support: subtract the mean of the task's support; cl2n: centre_base, unit; peme: power, unit, centre_base, unit."""

StepName = Literal["rectify", "unit", "power", "centre_base", "centre_support"]
COMPOUND: dict[TransformName, tuple[StepName, ...]] = {"cl2n": ("centre_base", "unit"), "peme": ("power", "unit", "centre_base", "unit")}


def transform_steps(names: Sequence[TransformName]) -> tuple[StepName, ...]:
    """The steps that named transforms consist of, in order."""
    steps: list[StepName] = []
    for name in names:
        if name == "cl2n" or name == "peme":
            steps += COMPOUND[name]
        else:
            steps.append(name)
    return tuple(steps)


def needs_base(names: Sequence[TransformName]) -> bool:
    """Whether a step looks at the base features."""
    return "centre_base" in transform_steps(names)


def check_transforms(flag: str, names: Sequence[TransformName]) -> None:
    """Raise `InputError` for an order that has no meaning."""
    steps = transform_steps(names)
    first = steps.index("centre_support") if "centre_support" in steps else len(steps)
    need = "an order in which what looks at the base features (centre_base, cl2n, peme) comes before centre_support"
    check("centre_base" not in steps[first:], flag, list(names), need)
    centred = min(steps.index(step) if step in steps else len(steps) for step in ("centre_base", "centre_support"))
    check("power" not in steps[centred:], flag, list(names), "an order that takes no power of centred features")

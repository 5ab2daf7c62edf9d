"""Names of the feature transforms, and what an order of them means."""

from collections.abc import Sequence
from typing import Literal

from s2m2.recipe.ranges import check

TransformName = Literal["rectify", "unit", "power", "center_base", "center_support", "cl2n", "peme"]
"""rectify: negative values become zero; unit: divide by the length; power: (x + 1e-6)^0.5; center_base: subtract the mean of the base
features; center_support: subtract the mean of the task's support; cl2n: center_base, unit; peme: power, unit, center_base, unit."""

StepName = Literal["rectify", "unit", "power", "center_base", "center_support"]
COMPOUND: dict[TransformName, tuple[StepName, ...]] = {"cl2n": ("center_base", "unit"), "peme": ("power", "unit", "center_base", "unit")}


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
    return "center_base" in transform_steps(names)


def check_transforms(flag: str, names: Sequence[TransformName]) -> None:
    """Raise `InputError` for an order that has no meaning."""
    steps = transform_steps(names)
    first = steps.index("center_support") if "center_support" in steps else len(steps)
    need = "an order with the steps on base features (center_base, cl2n, peme) before center_support"
    check("center_base" not in steps[first:], flag, list(names), need)
    centered = min(steps.index(step) if step in steps else len(steps) for step in ("center_base", "center_support"))
    check("power" not in steps[centered:], flag, list(names), "an order that takes no power of centered features")

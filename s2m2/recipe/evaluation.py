"""Settings of the few-shot evaluation, and the ways to sample tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from s2m2.errors import InputError
from s2m2.recipe.parts import ClassifierSpec, check_classifier, parse_classifier
from s2m2.recipe.ranges import (
    Crops,
    IntFromTwo,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Tasks,
    TasksFromTwo,
    check,
    check_distinct,
    check_ranges,
)

FeaturesName = Literal["pixels", "pretrain", "finetune"]
ProtocolName = Literal["fixed", "s2m2", "dirichlet", "variable"]
"""fixed: the same number of queries of every class; s2m2: all images that are not support; dirichlet: class proportions of the queries
from a Dirichlet distribution; variable: ways and shots by Meta-Dataset's rule."""


TransformName = Literal["rectify", "unit", "power", "center_base", "center_support", "cl2n", "peme"]
"""rectify: negative values become zero; unit: divide by the length; power: (x + 1e-6)^0.5; center_base: subtract the mean of the base
features; center_support: subtract the mean of the task's support; cl2n: center_base, unit; peme: power, unit, center_base, unit."""

StepName = Literal["rectify", "unit", "power", "center_base", "center_support"]
COMPOUND: dict[TransformName, tuple[StepName, ...]] = {"cl2n": ("center_base", "unit"), "peme": ("power", "unit", "center_base", "unit")}


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Few-shot tasks to score: their classes, features and classifiers."""

    split: Literal["novel", "validation", "base"] = "novel"
    """Classes of the tasks. Choose settings on validation, report on novel."""
    novel_dataset: str | None = None
    """Dataset of the novel classes, for evaluation on another domain. null: that of data.path."""
    query_dataset: str | None = None
    """Dataset of the queries, with classes of the same names, for queries from another domain than the support. null: that of the
    support."""
    ways: tuple[IntFromTwo, ...] = (5,)
    """Classes per task; several values are scored one after the other."""
    shots: tuple[PositiveInt, ...] = (1, 5)
    """Labeled images per class; several values are scored one after the other."""
    protocols: tuple[ProtocolName, ...] = ("fixed",)
    """How tasks are sampled; several are scored one after the other. fixed: the same number of queries of every class; s2m2: every image
    that is not support is a query, as in its paper; dirichlet: random class proportions of the queries; variable: ways and shots by
    Meta-Dataset's rule."""
    queries: PositiveInt = 15
    """Query images per class, on average with protocol dirichlet; protocols s2m2 and variable ignore it."""
    dirichlet_concentration: PositiveFloat = 2.0
    """Concentration of the Dirichlet distribution of protocol dirichlet: the smaller, the less balanced. Default: alpha-TIM's."""
    tasks: TasksFromTwo = 10_000
    """Tasks averaged; 2 or more, for an interval."""
    seed: NonNegativeInt = 0
    """Seed of tasks and classifiers, separate from that of training, so that all runs are scored on the same tasks."""
    save_tasks: Path | None = None
    """Folder to save the tasks in, an .npz file per kind, for another program to score. null: not saved."""
    tasks_from: tuple[Path, ...] = ()
    """Files of saved tasks to score, in place of sampled ones; they replace protocols, ways, shots, queries, tasks and seed."""
    classifiers: tuple[str | dict[str, Any], ...] = ("cosine", "nearest_mean")
    """Few-shot classifiers, as names or with settings: [cosine, {name: tim, steps: 500}]. cosine is the paper's; `s2m2 settings
    evaluate.classifiers` lists all. One of your own: module:object, or an installed entry point of group s2m2.classifiers."""
    transforms: tuple[TransformName, ...] = ()
    """Feature transforms before every classifier, in the order given: rectify (negative values become 0), unit, power, center_base,
    center_support; cl2n (center_base, unit) and peme (power, unit, center_base, unit). Transforms of a classifier itself come after
    these."""
    details: bool = True
    """Save classes, confusions, calibration, open-set metrics and hardest tasks next to accuracies; the interval over classes needs it."""
    selection_tasks: Tasks = 600
    """Validation tasks for the choice of temperature and rejection threshold; also the number of open-set tasks scored."""
    open_set_classes: NonNegativeInt = 5
    """Classes without support in each open-set task; 0: no open-set metrics."""
    features: tuple[FeaturesName, ...] = ("pretrain", "finetune")
    """Input of the classifiers: raw pixels, or the features of the best weights of a training stage."""
    support_crops: Crops = 0
    """Random crops per support image, augmented by data.augment, whose mean features represent it (EASY: 30); queries stay whole. 0: the
    whole image. pixels ignores it."""
    ensemble: tuple[Path, ...] = ()
    """Other run directories of the same images: features of the same stage, each scaled to unit norm, are concatenated (EASY: three
    networks). pixels ignores it."""

    def __post_init__(self) -> None:
        check_ranges(self, "evaluate")
        for name in ("ways", "shots", "features", "protocols"):
            check_distinct(f"evaluate.{name}", getattr(self, name))
        check_distinct("evaluate.ensemble", map(str, self.ensemble), empty=True)
        check(bool(self.classifiers), "evaluate.classifiers", "[]", "one or more classifiers")
        labels = [spec.label for spec in self.specs]
        for number, spec in enumerate(self.specs):
            check_classifier("evaluate.classifiers", spec.name)
            if spec.label in labels[:number]:
                hint = f"a label tells one from the other: {{name: {spec.name}, label: {spec.label}_2, ...}}"
                raise InputError(f"--evaluate.classifiers has {spec.label} twice; {hint}")
        check_transforms("evaluate.transforms", self.transforms)

    @property
    def specs(self) -> tuple[ClassifierSpec, ...]:
        """The classifiers, each with its name, label and settings."""
        return tuple(parse_classifier(value) for value in self.classifiers)


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

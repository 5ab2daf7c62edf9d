"""Recipes of version 0.1.0: their names of settings, and how they state the settings of few-shot classifiers."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from s2m2.errors import InputError

STAGES = ("pretrain", "finetune")
STAGE_WEIGHTS = ("classification_weight", "self_supervision_weight")
"""Weights of losses in `pretrain` that were those of stage 2 as well, before `finetune` had its own."""
RENAMED = {
    "data.table": "data.path",
    "data.validation_table": "data.validation_dataset",
    "data.resize": "data.resize_ratio",
    "data.augment.crop_area": "data.augment.scale",
    "data.augment.crop_ratio": "data.augment.ratio",
    "data.held_out": "data.holdout_fraction",
    "data.corrupt_labels": "data.label_noise",
    **{f"{stage}.average": f"{stage}.ema_decay" for stage in STAGES},
    **{f"{stage}.statistics_pictures": f"{stage}.bn_recalibration_images" for stage in STAGES},
    **{f"{stage}.validation.head": f"{stage}.validation.classifier" for stage in STAGES},
    **{f"{stage}.mix.weight_of": f"{stage}.mix.per_sample" for stage in STAGES},
    **{f"{stage}.mix.share": f"{stage}.mix.prob" for stage in STAGES},
    **{f"{stage}.mix.pictures": f"{stage}.mix.num_images" for stage in STAGES},
    "evaluate.novel_table": "evaluate.novel_dataset",
    "evaluate.query_table": "evaluate.query_dataset",
    "evaluate.dirichlet": "evaluate.dirichlet_concentration",
    "evaluate.unknown": "evaluate.open_set_classes",
    "analyse": "analyze",
    "analyze.pictures": "analyze.images",
}
"""Path of 0.1.0 to today's, applied in this order."""

CLASSIFIER_NAMES = {"nearest_cosine": "cosine_centroid", "tim": "tim_fast", "alpha_tim": "alpha_tim_fast"}
"""Names of classifiers with the defaults of 0.1.0; the Adam of TIM was `classwise` then, a variant with a name of its own today."""
SETTING_NAMES = {"neighbours": "neighbors", "centre": "center", "inverse_penalty": "C"}
TRANSFORM_NAMES = {"centre_base": "center_base", "centre_support": "center_support"}
VALUES: dict[str, Callable[[Any], Any]] = {
    **{f"{stage}.mix.weight_of": lambda value: value == "picture" for stage in STAGES},
    **{f"{stage}.validation.head": lambda value: CLASSIFIER_NAMES.get(value, value) for stage in STAGES},
}
"""Value of today's setting by the old one's, where it differs."""

CLASSIFIER_DEFAULTS: dict[str, dict[str, Any]] = {
    "cosine": {
        "epochs": 200, "batch_size": 4, "learning_rate": 0.01, "momentum": 0.9, "dampening": 0.9, "weight_decay": 0.001, "scale": 2.0,
    },
    "cosine_converged": {"weight_decay": 0.001, "scale": 2.0},
    "logistic": {"inverse_penalty": 1.0},
    "svm": {"inverse_penalty": 1.0},
    "ridge": {"penalty": 1.0},
    "calibrated": {"power": 0.5, "neighbours": 2, "spread": 0.21, "samples": 750, "inverse_penalty": 1.0},
    "soft_kmeans": {"steps": 1, "scale": 1.0},
    "bd_cspn": {"scale": 10.0, "pseudo_labels": 8},
    "laplacian_shot": {"neighbours": 3, "steps": 20, "tolerance": 1e-6, "rectify": True, "centre": True},
    "tim": {
        "scale": 15.0, "supervised": 0.1, "marginal": 1.0, "conditional": 0.1, "steps": 1000, "learning_rate": 1e-4, "adam": "classwise",
    },
    "alpha_tim": {
        "alpha": None, "scale": 15.0, "supervised": 1.0, "marginal": 1.0, "conditional": 1.0, "steps": 1000, "learning_rate": 1e-4,
        "adam": "classwise",
    },
    "pt_map": {"power": 0.5, "centre": True, "scale": 10.0, "rate": 0.2, "steps": 20, "tolerance": 1e-6, "iterations": 1000},
    "transductive_finetuning": {"epochs": 25, "learning_rate": 5e-5, "scale": 1.0},
}  # fmt: skip
"""Sections of `evaluate` in 0.1.0, with the defaults of then that are still the defaults."""


def modernize(tree: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A recipe tree by today's names, and what was renamed, as `old is now new`.

    Raises:
        InputError: a setting is stated by both names.
    """
    renewed, notes = deepcopy(dict(tree)), []
    for old, new in RENAMED.items():
        section, name = _section_of(renewed, old)
        if section is None or name not in section:
            continue
        value = VALUES.get(old, lambda value: value)(section.pop(name))
        target, new_name = _section_of(renewed, new)
        if target is None or new_name in target:
            raise InputError(f"states {old}, whose name is now {new}, and {new} too")
        target[new_name] = value
        notes.append(f"{old} is now {new}")
    notes += _weigh_stage_two(renewed)
    evaluate = renewed.get("evaluate")
    if isinstance(evaluate, dict):
        if isinstance(evaluate.get("transforms"), list):
            evaluate["transforms"] = [TRANSFORM_NAMES.get(name, name) for name in evaluate["transforms"]]
        notes += _join_classifiers(evaluate)
    return renewed, notes


def _weigh_stage_two(tree: dict[str, Any]) -> list[str]:
    """Give stage 2 the weights of stage 1, which once held in both, where a recipe states `auxiliary_weight` but not these."""
    first, second = tree.get("pretrain"), tree.get("finetune")
    if not isinstance(first, dict) or not isinstance(second, dict) or "auxiliary_weight" not in second:
        return []
    taken = {name: first[name] for name in STAGE_WEIGHTS if first.get(name, 1) != 1 and name not in second}
    second.update(taken)
    return [f"pretrain.{name} {value}, which held in stage 2 too, is now finetune.{name} there" for name, value in taken.items()]


def _section_of(tree: dict[str, Any], path: str) -> tuple[dict[str, Any] | None, str]:
    """The mapping that holds a setting, None if there is none, and the setting's name in it."""
    *above, name = path.split(".")
    section: Any = tree
    for part in above:
        section = section.get(part) if isinstance(section, dict) else None
    return section if isinstance(section, dict) else None, name


def _join_classifiers(evaluate: dict[str, Any]) -> list[str]:
    """Replace `heads` and the sections of classifiers by `classifiers`."""
    if "classifiers" in evaluate:
        return []
    stated = {name: evaluate.pop(name) or {} for name in CLASSIFIER_DEFAULTS if name in evaluate}
    for name in (name for name, value in stated.items() if not isinstance(value, dict)):
        raise InputError(f"evaluate.{name} is {stated[name]}, but must be a section of settings, `name: value`")
    if not stated and "heads" not in evaluate:
        return []
    heads = evaluate.pop("heads", None)
    heads = ["cosine", "nearest_mean"] if heads is None else [heads] if isinstance(heads, str) else heads
    if not isinstance(heads, list) or not all(isinstance(name, str) for name in heads):
        raise InputError(f"evaluate.heads is {heads}, but must be names of few-shot classifiers")
    evaluate["classifiers"] = [_classifier(name, stated.get(name, {})) for name in heads]
    sections = [f"evaluate.{name}" for name in stated]
    return [f"{', '.join(['evaluate.heads', *sections])} {'are' if sections else 'is'} now evaluate.classifiers"]


def _classifier(name: str, stated: Mapping[str, Any]) -> str | dict[str, Any]:
    """A classifier by today's name, with the settings that are not 0.1.0's defaults."""
    defaults = CLASSIFIER_DEFAULTS.get(name, {})
    settings = {SETTING_NAMES.get(key, key): value for key, value in stated.items() if value != defaults.get(key) and key != "adam"}
    if stated.get("adam") != "elementwise":
        name = CLASSIFIER_NAMES.get(name, name)
    return {"name": name, **settings} if settings else name


def renamed_advice(path: str, prefix: str = "") -> str:
    """`; it is now ...` for the path of a setting of 0.1.0; empty if it was none.

    Args:
        prefix: before the new name, `--` on the command line.
    """
    if path in RENAMED:
        return f"; it is now {prefix}{RENAMED[path]}"
    name = path.removeprefix("evaluate.").split(".")[0]
    if path.startswith("evaluate.") and (name == "heads" or name in CLASSIFIER_DEFAULTS):
        return f"; it is now part of {prefix}evaluate.classifiers, such as '[cosine, {{name: tim, steps: 500}}]'"
    return ""

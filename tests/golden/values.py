"""Which golden values there are, how they are computed and how near to them is near enough."""

import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.golden import adapter

FILE = Path(__file__).with_name("golden.json")
PROTOCOLS = ("fixed", "s2m2", "dirichlet", "variable")
SEEDS = (0, 1)
OBJECTIVES = ("supervised", "rotation", "exemplar", "mixup", "finetune")
SLOW = {"calibrated": 8, "tim": 10, "alpha_tim": 10, "tim_fast": 20, "alpha_tim_fast": 20}
"""Tasks of slow classifiers; others score 60."""
ITERATED = ("calibrated",)
"""Classifiers that end where a stopping rule ends them: rounding moves a query of a few tasks."""


def classifier_cases() -> dict[str, dict[str, Any]]:
    """Arguments of `adapter.score_classifier` by the name of the case."""
    cases = {}
    for name in adapter.classifier_names():
        for shots in (1, 5):
            tasks = SLOW.get(name, 60)
            cases[f"{name}, fixed, {shots}-shot"] = {"name": name, "shots": shots, "tasks": tasks}
    cases["alpha_tim_fast, dirichlet, 1-shot"] = {"name": "alpha_tim_fast", "shots": 1, "tasks": 20, "protocol": "dirichlet"}
    # Tasks of hundreds of support images, for which the default 200 epochs would take 2 seconds each.
    settings = {"cosine": {"epochs": 10}}
    cases["cosine, variable"] = {"name": "cosine", "shots": 1, "tasks": 6, "protocol": "variable", "settings": settings}
    cases["nearest_mean, variable"] = {"name": "nearest_mean", "shots": 1, "tasks": 30, "protocol": "variable"}
    return cases


def accuracies_of(case: dict[str, Any]) -> dict[str, list[int]]:
    """Right predictions and queries of each task."""
    accuracies, queries = adapter.score_classifier(**case)
    return {"right": [round(value * count) for value, count in zip(accuracies, queries, strict=True)], "queries": queries}


def same_accuracies(values: dict[str, list[int]], golden: dict[str, list[int]], *, mean: float = 2e-3, fraction: float = 0.03) -> bool:
    """Whether accuracies are the same but for rounding, which may turn a close query or two of a task.

    The means differ by at most `mean`, and at most a `fraction` of the tasks, or one, differ, by at most 2 queries each.
    """
    if values["queries"] != golden["queries"]:
        return False
    ours, theirs, queries = (np.array(values) for values in (values["right"], golden["right"], golden["queries"]))
    apart = np.abs(ours - theirs)
    near = abs((ours / queries).mean() - (theirs / queries).mean()) <= mean
    return bool(near and apart.max() <= 2 and (apart > 0).sum() <= max(fraction * len(apart), 1))


def digest_of(protocol: str, seed: int) -> str:
    """SHA-256 over the sampled tasks, as int64."""
    digest = hashlib.sha256()
    for part in adapter.sampled_tasks(protocol, seed):
        for name in ("classes", "support", "support_ways", "query", "query_ways"):
            values = part[name].to(torch.int64).contiguous()
            digest.update(f"{name} {list(values.shape)} ".encode())
            digest.update(values.numpy().astype("<i8").tobytes())
    return digest.hexdigest()


def weights_of(objective: str, **changes: Any) -> dict[str, Any]:
    """What is kept of the weights of an objective, and its last loss terms."""
    before, after, terms = adapter.train_steps(objective, **changes)
    weights = {}
    for name, value in after.items():
        weights[name] = [*_norm_and_product(name, value), *_norm_and_product(name, value - before[name])]
    return {"weights": weights, "terms": terms}


def _norm_and_product(name: str, value: Tensor) -> list[float]:
    """Norm, and the inner product with random numbers that depend on the name."""
    drawn = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(value.numel())
    flat = value.double().flatten().numpy()
    return [float(f"{number:.9g}") for number in (np.linalg.norm(flat), flat @ drawn)]


def differing_weights(values: dict[str, Any], golden: dict[str, Any]) -> list[str]:
    """Names of tensors and loss terms that differ by more than rounding.

    Rounding turns a maximum or a hardest image here and there, which changes how far a tensor moved by up to 1%. Measured with weights
    changed by 2e-7 of themselves before the first step, at learning rate 0.003; at 0.01 exemplar would differ by 20%.
    """
    ours, theirs = values["weights"], golden["weights"]
    apart = sorted(set(ours) ^ set(theirs)) + sorted(set(values["terms"]) ^ set(golden["terms"]))
    for name in sorted(set(ours) & set(theirs)):
        norm, _, moved, _ = theirs[name]
        limits = (1e-3 * norm + 1e-4, 1e-3 * norm + 1e-4, 0.03 * moved + 1e-6, 0.03 * moved + 1e-6)
        if any(abs(one - other) > limit for one, other, limit in zip(ours[name], theirs[name], limits, strict=True)):
            apart.append(name)
    for name in sorted(set(values["terms"]) & set(golden["terms"])):
        # An accuracy is a fraction of 4 to 64 images, of which one may turn.
        limit = 0.26 if name.endswith("accuracy") else 2e-3
        if abs(values["terms"][name] - golden["terms"][name]) > limit:
            apart.append(name)
    return apart


def golden() -> dict[str, Any]:
    """The kept values."""
    return json.loads(FILE.read_text(encoding="utf-8"))

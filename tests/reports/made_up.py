"""The directory of a finished run, with made-up but plausible curves and results, all from a seed."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from s2m2.data.dataset import SPLITS, ImageDataset
from s2m2.evaluation.details import Calibration, ClassDetails, Details, HardTaskDetails, HardWay, OpenScore, OpenSetDetails, Reliability
from s2m2.evaluation.results import TaskResults, save_results
from s2m2.io import write_text
from s2m2.recipe import OptimizerConfig, PretrainConfig, Recipe, recipe_to_yaml
from s2m2.reports.images import DrawnTask, Projection
from s2m2.runs.checkpoint import Outcome, save_outcome
from s2m2.runs.directory import RunDirectory

OPTIMIZER = OptimizerConfig(learning_rate=3e-3, schedule="cosine")
RECIPE = Recipe(seed=3, pretrain=PretrainConfig(epochs=8, optimizer=OPTIMIZER))
PRETRAINED = Outcome(epochs=8, best_epoch=7, best_score=0.5413, stopped_early=False, seconds=74.25)
FINETUNED = Outcome(epochs=4, best_epoch=3, best_score=0.5862, stopped_early=True, seconds=31.5)


def made_up_dataset(classes: int = 10, each: int = 8, size: int = 32) -> ImageDataset:
    """Images of one color a class, with some noise; a class name that would be markup if it were not escaped."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes, dtype=np.int64), each)
    colors = rng.integers(30, 225, (classes, 1, 1, 1, 3))
    noise = rng.integers(-30, 31, (classes, each, size, size, 3))
    images = (colors + noise).astype(np.uint8).reshape(-1, size, size, 3)
    names = ("<script>alert('novel & loud')</script>", *(f"class {number}" for number in range(1, classes)))
    bounds = (0, classes // 2, classes * 7 // 10, classes)
    numbers = tuple(range(classes))
    splits = {split: numbers[bounds[number] : bounds[number + 1]] for number, split in enumerate(SPLITS)}
    return ImageDataset(name="made up", images=images, labels=labels, class_names=names, splits=splits, digest="d1" * 32)


def made_up_results(features: str, classifier: str, shots: int, mean: float, tasks: int = 400) -> TaskResults:
    """Accuracies around a mean, multiples of 1/75 as those of five ways and 15 queries."""
    rng = np.random.default_rng([shots, len(features), len(classifier)])
    right = rng.binomial(75, np.clip(rng.normal(mean, 0.08, tasks), 0, 1))
    per_task = right / 75
    return TaskResults(
        dataset="made up",
        split="novel",
        features=features,
        classifier=classifier,
        ways=5,
        shots=shots,
        queries=15,
        tasks=tasks,
        seed=0,
        per_task=tuple(per_task.tolist()),
        fingerprint="f0" * 32,
        data_digest="d1" * 32,
        created="2031-05-04T12:29:00+00:00",
        details=made_up_details(per_task),
    )


def made_up_details(per_task: np.ndarray, classes: int = 8) -> Details:
    """Details of 5-way tasks of random classes; the name of class 0 would be markup if it were not escaped."""
    rng, names = np.random.default_rng(7), made_up_dataset().class_names
    having = rng.random((len(per_task), classes)).argsort(axis=1) < 5
    queries = 15 * having.sum(axis=0)
    right = np.minimum(np.round(15 * (per_task @ having)), queries).astype(int)
    entries = zip(names, having.sum(axis=0).tolist(), (per_task @ having).tolist(), queries.tolist(), right.tolist(), strict=False)
    wrong = [(true, (true + 1) % classes, int(queries[true] - right[true])) for true in range(classes)]
    ways = tuple(
        HardWay(name=names[way], support=(8 * way,), wrong=((8 * way + 1, (way + 1) % 5),), right=6, queries=15) for way in range(5)
    )
    bins = tuple((100.0, 100 * (number + 0.5) / 15, 100 * min(1.0, (number + 2) / 18)) for number in range(15))
    return Details(
        classes=tuple(
            ClassDetails(name=name, tasks=tasks, task_sum=total, queries=queries, right=right)
            for name, tasks, total, queries, right in entries
        ),
        confusion=tuple(sorted([*((true, true, int(count)) for true, count in enumerate(right)), *wrong])),
        hardest=tuple(HardTaskDetails(number=number, accuracy=0.25 + 0.01 * number, ways=ways) for number in range(10)),
        calibration=Calibration(
            before=Reliability(error=0.123, nll=1.4, bins=bins),
            after=Reliability(error=0.017, nll=1.1, bins=bins),
            temperature=2.5,
            tasks=600,
        ),
        open_set=OpenSetDetails(
            classes=5,
            tasks=600,
            threshold=0.41,
            score=OpenScore(auroc=0.731, auroc_interval=0.01, auroc_pooled=0.71, accepted=0.64, rejected=0.67, recognized=0.55),
        ),
        left_out=("A reason why something is missing.",),
    )


def made_up_run(path: Path, *, finetuned: bool = True, evaluated: bool = True) -> RunDirectory:
    """A run after pretraining, and after the later stages on request."""
    run = RunDirectory(path)
    write_text(run.recipe, recipe_to_yaml(RECIPE))
    rows = _metrics("pretrain", PRETRAINED, 0.22)
    save_outcome(run.outcome("pretrain"), PRETRAINED)
    provenance = _provenance() | {"pretrain": asdict(PRETRAINED)}
    if finetuned:
        rows += _metrics("finetune", FINETUNED, 0.53)
        save_outcome(run.outcome("finetune"), FINETUNED)
        provenance["finetune"] = asdict(FINETUNED)
    write_text(run.metrics, "".join(json.dumps(row) + "\n" for row in rows))
    write_text(run.provenance, json.dumps(provenance))
    if evaluated:
        for features, gain in (("pixels", -0.25), ("pretrain", 0.0), ("finetune", 0.05))[: 3 if finetuned else 2]:
            for classifier, shots, mean in (("cosine", 1, 0.6), ("cosine", 5, 0.78), ("nearest_mean", 1, 0.59), ("nearest_mean", 5, 0.76)):
                save_results(run.results, made_up_results(features, classifier, shots, mean + gain))
    return run


def made_up_task(dataset: ImageDataset, wrong: int = 9) -> DrawnTask:
    """A 5-way 1-shot task of the first classes, some of whose queries are classified as the next class."""
    rows = np.stack([np.flatnonzero(dataset.labels == number) for number in range(5)])
    predicted = np.repeat(np.arange(5, dtype=np.int64)[:, None], rows.shape[1] - 1, axis=1)
    wrong_queries = np.random.default_rng(1).permutation(predicted.size)[:wrong]
    predicted.ravel()[wrong_queries] = (predicted.ravel()[wrong_queries] + 1) % 5
    return DrawnTask(
        class_names=dataset.class_names[:5],
        support=tuple(dataset.images[rows[:, :1]]),
        query=tuple(dataset.images[rows[:, 1:]]),
        predicted=tuple(predicted),
        classifier="cosine",
        features="finetune",
        projection=Projection(
            points=np.random.default_rng(2).normal(size=(40, 2)).astype(np.float32),
            ways=np.arange(40) % 5,
            support=np.arange(40) < 5,
            class_names=dataset.class_names[:5],
        ),
    )


def _metrics(stage: str, outcome: Outcome, start: float, steps: int = 120) -> list[dict[str, object]]:
    rng = np.random.default_rng(len(stage))
    rows: list[dict[str, object]] = []
    rate = OPTIMIZER.learning_rate if stage == "pretrain" else 1e-3
    for step in range(40, outcome.epochs * steps + 1, 40):
        progress = step / (outcome.epochs * steps)
        parts = {
            "class": 3.9 * np.exp(-1.3 * progress) + rng.normal(0, 0.05),
            "rotation": 1.38 * np.exp(-1.1 * progress) + rng.normal(0, 0.03),
        }
        if stage == "finetune":
            parts = {"mixup": 2.9 - 0.5 * progress + rng.normal(0, 0.05), **{name: value / 2.5 for name, value in parts.items()}}
        accuracies = {"accuracy": 0.75 * (1 - np.exp(-2 * progress)), "rotation_accuracy": 0.25 + 0.6 * (1 - np.exp(-2 * progress))}
        metrics = {
            "loss": sum(parts.values()),
            **parts,
            **accuracies,
            "learning_rate": rate * np.sin(np.pi * progress) if stage == "pretrain" else rate,
        }
        rows.append({"stage": stage, "kind": "train", "step": step, "epoch": round(step / steps, 4), **metrics, "images_per_second": 900.0})
        if step % steps == 0:
            rows.append(_validation(stage, step, step // steps, outcome, start))
    first = [] if stage == "pretrain" else [{"stage": stage, "kind": "validation", "step": 0, "epoch": 0, "score": start, "best": start}]
    return first + rows


def _validation(stage: str, step: int, epoch: int, outcome: Outcome, start: float) -> dict[str, object]:
    score = outcome.best_score - (outcome.best_score - start) * abs(epoch - outcome.best_epoch) / outcome.best_epoch
    best = outcome.best_score if epoch >= outcome.best_epoch else score
    return {"stage": stage, "kind": "validation", "step": step, "epoch": epoch, "score": score, "best": best}


def _provenance() -> dict[str, object]:
    return {
        "command": "s2m2 run --run runs/made-up --seed 3",
        "updated": "2031-05-04T12:30:00+00:00",
        "started": "2031-05-04T12:27:00+00:00",
        "python": "3.11.9",
        "packages": {"s2m2": "0.1.0", "torch": "2.11.0", "numpy": "2.3.0"},
        "machine": {"system": "Linux x86_64", "processor": "Imaginary CPU 2.4 GHz", "cores": 2, "gpus": []},
        "runtime": asdict(replace(RECIPE.runtime, threads=1)),
    }

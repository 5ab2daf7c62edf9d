"""
Reading a report
================

Every run ends with ``report.html``, one page that holds all it shows. This tutorial makes a small run and goes
through its page from top to bottom: what each part says, and what to conclude from it. Everything on the page comes
from files of the run, and the numbers below are read from these.
"""

import json
import re
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

import s2m2
from s2m2.data.glyphs import glyph_dataset

torch.set_num_threads(1)
work = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)

glyph_dataset(Path(work.name, "data"), classes=80, images_per_class=30)
(dataset,) = Path(work.name, "data").iterdir()
run = s2m2.run(
    path=Path(work.name, "small"),
    data={"path": str(dataset)},
    model={"width": 16, "scale": 10},
    pretrain={
        "objective": "supervised",
        "epochs": 8,
        "batch_size": 32,
        "optimizer": {"learning_rate": 0.05},
        "validation": {"every": 2, "tasks": 200},
    },
    finetune={
        "epochs": 3,
        "patience": 0,
        "batch_size": 32,
        "validation": {"tasks": 200},
    },
    evaluate={"tasks": 500, "selection_tasks": 100},
    runtime={"threads": 1, "accelerator": "cpu", "precision": "32-true"},
)
page = run.report.read_text()
print(
    f"{run.report.name}: {len(page) / 1e6:.1f} MB. Its parts:",
    *re.findall("<h2>(.*?)</h2>", page),
    sep="\n  ",
)

# %%
# The headline
# ------------
# The large numbers on top are the first classifier of the recipe after the last stage. The sentence below them says
# what they are worth: weights are selected on *validation* classes, and the scores are on *novel* ones, which played
# no part in it. If a novel image had been trained on, a warning would stand there instead.

headline = [
    one
    for one in run.results
    if (one.features, one.classifier) == ("finetune", "cosine")
]
for one in headline:
    print(
        f"{one.shots}-shot: {100 * one.mean:.2f} ± {100 * one.class_interval:.2f} over classes, ± {100 * one.interval:.2f} for these again"
    )
print(
    "novel classes:",
    len(headline[0].details.classes),
    " guessing:",
    f"{100 / headline[0].ways:.0f} %",
)

# %%
# Read the wide interval as: "with other novel classes of this kind, it may well have been as low or as high as this".
# The narrow one only says that enough tasks were sampled.
#
# Few-shot accuracy
# -----------------
# The table has a row for each classifier and kind of task and a column for each stage. Did fine-tuning help? The
# columns are of the same tasks, so judge the difference in pairs, not by whether intervals overlap.

for shots in (1, 5):
    before, after = (
        next(
            one
            for one in run.results
            if (one.features, one.classifier, one.shots) == (stage, "cosine", shots)
        )
        for stage in ("pretrain", "finetune")
    )
    change = s2m2.compare(before, after)
    verdict = (
        "no difference is shown"
        if change.class_p_value > 0.05
        else "it helped"
        if change.difference > 0
        else "it hurt"
    )
    gain = f"{100 * change.difference:+.2f} ± {100 * change.class_interval:.2f} points over classes, p = {change.class_p_value:.2g}"
    print(f"{shots}-shot: {gain}: {verdict}")

# %%
# Do the classifiers agree? ``cosine`` compares directions of features, ``nearest_mean`` distances. Where they are far
# apart, the lengths of features may be in the way; ``--evaluate.transforms unit`` takes these out. And how much do
# more labels bring? The curve below the table shows it.

for row in run.scores:
    print(
        f"{row['shots']}-shot  {row['classifier']:<13} {row['features']:<9} {100 * row['mean']:.2f}"
    )

# %%
# *Distribution over tasks* shows what a mean hides: single tasks are far apart. Whoever uses the network has one
# task, not the mean.

fig, ax = plt.subplots(figsize=(6, 2.8))
for one in headline:
    ax.hist(
        100 * np.array(one.per_task), bins=25, alpha=0.6, label=f"{one.shots}-shot"
    )
ax.set(xlabel="accuracy of a task, percent", ylabel="tasks")
ax.legend()
fig.tight_layout()
for one in headline:
    low, high = np.percentile(one.per_task, [5, 95])
    print(
        f"{one.shots}-shot: nine of ten tasks lie between {100 * low:.0f} and {100 * high:.0f} percent"
    )

# %%
# How far to trust the scores
# ---------------------------
# A classifier also gives probabilities. *ECE*, the expected calibration error, is how far they are from the fraction
# that is right; *calibrated* is the same after scaling by one temperature, chosen on validation tasks. A large first
# number and a small second one: use the temperature, and the probabilities mean what they say.
#
# *AUROC* asks whether images of classes that are not in the task can be told by a low probability: 50 is chance, 100
# perfect. *Accepted* and *rejected* are the two sides of one threshold.

one = headline[0]
calibration, open_set = one.details.calibration, one.details.open_set
print(
    f"ECE {100 * calibration.before.error:.1f}, calibrated {100 * calibration.after.error:.1f}, temperature {calibration.temperature:.2f}"
)
print(
    "the classifier is",
    "too sure of itself" if calibration.temperature > 1 else "not sure enough",
)
known, strangers = (
    f"{open_set.score.accepted:.0%} of queries of the task's classes accepted",
    f"{open_set.score.rejected:.0%} of others rejected",
)
print(f"AUROC {100 * open_set.score.auroc:.1f}; {known}, {strangers}")

# %%
# The diagram of the page, *Are the probabilities right?*. Below the diagonal, the classifier is surer than it is
# right.

fig, ax = plt.subplots(figsize=(3.6, 3.2))
for name, reliability in (
    ("as it is", calibration.before),
    ("with temperature", calibration.after),
):
    counts, confidences, rights = np.array(
        [filled for filled in reliability.bins if filled[0]]
    ).T
    ax.plot(confidences / counts, rights / counts, "o-", label=name)
ax.plot([0, 1], [0, 1], "k--", lw=0.8)
ax.set(xlabel="probability of the predicted class", ylabel="fraction right")
ax.legend()
fig.tight_layout()

# %%
# Class by class
# --------------
# The confusion matrix, the hardest classes and the pairs that are most often confused. A class that is far below all
# others may be hard, or its labels may be wrong: look at its images, and at the hardest tasks with their mistakes,
# before you blame the network.

classes = one.details.classes
for entry in sorted(classes, key=lambda entry: entry.accuracy)[:3]:
    print(f"{entry.accuracy:.0%} of the queries of {entry.name}")
pairs = [
    (count / classes[true].queries, classes[true].name, classes[said].name)
    for true, said, count in one.details.confusion
    if true != said
]
for fraction, true, said in sorted(pairs, reverse=True)[:3]:
    print(f"{true} named {said}: {fraction:.0%} of its queries")

# %%
# Training
# --------
# Loss, accuracy of the heads and the validation score of each stage, and a sentence on which weights were kept.
# Curves are ``metrics.jsonl``, an object a line.

metrics = [
    json.loads(line)
    for line in (run.path / "metrics.jsonl").read_text().splitlines()
]
fig, axes = plt.subplots(1, 2, figsize=(8, 2.8))
for stage in run.outcomes:
    train = [
        row for row in metrics if (row["stage"], row["kind"]) == (stage, "train")
    ]
    validation = [
        row
        for row in metrics
        if (row["stage"], row["kind"]) == (stage, "validation")
    ]
    axes[0].plot(
        [row["epoch"] for row in train], [row["loss"] for row in train], label=stage
    )
    axes[1].errorbar(
        [row["epoch"] for row in validation],
        [100 * row["score"] for row in validation],
        [100 * row["interval"] for row in validation],
        marker="o",
        label=stage,
    )
axes[0].set(xlabel="epoch", ylabel="training loss")
axes[1].set(xlabel="epoch", ylabel="validation score, percent")
axes[0].legend()
fig.tight_layout()
for stage, outcome in run.outcomes.items():
    kept = (
        f"after epoch {outcome.best_epoch} of {outcome.epochs}"
        if outcome.best_epoch
        else "those that the stage began with"
    )
    print(
        f"{stage}: kept the weights {kept}, validation {100 * outcome.best_score:.2f}"
    )

# %%
# * The best epoch is the last one, and the curve still rises: train longer.
# * The best epoch is early, and the curve falls after it: less training, more augmentation, or a smaller learning
#   rate.
# * Weights of the start of a stage were kept: the stage did not help. For fine-tuning, try a smaller
#   ``finetune.optimizer.learning_rate``.
# * The losses of the two stages are different sums, so the curves are not compared with each other.

for stage, outcome in run.outcomes.items():
    last = outcome.best_epoch == outcome.epochs
    print(
        f"{stage}:",
        "it began with its best weights"
        if outcome.best_epoch == 0
        else "the last epoch was the best"
        if last
        else "an earlier epoch was the best",
    )

# %%
# One task, and the data
# ----------------------
# *One task and its predictions* draws the first task: support, queries, mistakes, and a map of the features. *The
# data* shows classes of each split. Both are there to be looked at: mirrored letters, empty images or two classes
# that are the same thing are seen here, and in no number.
#
# Recipe and provenance
# ---------------------
# The settings that differ from the defaults, the command that runs it again, versions, hardware, times, and the
# digest of the images. With these another person can repeat the run, and you can in a year. The same seed on one
# thread gives the same weights, bit for bit, on one kind of processor.

provenance = json.loads((run.path / "provenance.json").read_text())
print("python", provenance["python"], provenance["packages"])
print(
    "images:",
    provenance["data"]["digest"][:16],
    "seconds:",
    {stage: round(outcome.seconds, 1) for stage, outcome in run.outcomes.items()},
)

# %%
# What a report does not say
# --------------------------
# It is about one run. Another seed gives another network, and the page has no interval for that: make several runs,
# and compare them by ``s2m2 compare``.

work.cleanup()

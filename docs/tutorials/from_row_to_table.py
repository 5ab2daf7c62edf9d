"""
From a paper's row to your table
================================

A row of a paper's table is a recipe, a few runs of it, and an honest account of what they show. This tutorial goes
the whole way with a recipe so small that it takes seconds: two seeds, scores as files, what is significant, and the
table. The numbers are therefore of no interest; the steps are those of a real row.
"""

import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.stats import t as student

import s2m2
from s2m2.data.glyphs import glyph_dataset

torch.set_num_threads(1)
work = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)

# %%
# The row is a recipe
# -------------------
# ``configs/`` of the repository has one for each row and dataset, and its head states the published number, what
# differs from the authors' code, and the command:
#
# .. code-block:: text
#
#    s2m2 prepare cifar100 --output datasets/cifar_fs
#    s2m2 run configs/cifar_fs/paper.yaml --run runs/seed0
#    s2m2 run configs/cifar_fs/paper.yaml --run runs/seed1 --seed 1
#
# That takes a large GPU. The recipe of this tutorial states only what differs from the defaults, as theirs do. Its
# images are characters that the package draws.

glyph_dataset(Path(work.name, "data"), classes=60, images_per_class=30)
(dataset,) = Path(work.name, "data").iterdir()
text = f"""\
data: {{path: {dataset}}}
model: {{width: 16, scale: 10}}
pretrain:
  objective: supervised
  epochs: 8
  batch_size: 32
  optimizer: {{learning_rate: 0.05}}
  validation: {{every: 4}}
finetune:
  epochs: 2
  batch_size: 32
  validation: {{tasks: 200}}
evaluate: {{tasks: 500, selection_tasks: 50}}
runtime: {{threads: 1, accelerator: cpu, precision: 32-true}}
"""
Path(work.name, "tiny.yaml").write_text(text)
recipe, runs = Path(work.name, "tiny.yaml"), Path(work.name, "runs")

# %%
# Two seeds
# ---------
# The seed shapes initial weights, batches and augmentation. Tasks have a seed of their own, ``evaluate.seed``, so
# both runs are scored on the same ones. A killed run resumes when the same command is given again.

finished = [s2m2.run(recipe, runs / f"seed{seed}", seed=seed) for seed in (0, 1)]
for run in finished:
    for row in run.scores:
        accuracy = f"{100 * row['mean']:.2f} ± {100 * row['class_interval']:.2f}"
        print(
            f"{run.path.name}  {row['shots']}-shot  {row['classifier']:<13} {row['features']:<9} {accuracy}"
        )

# %%
# Scores are files
# ----------------
# Nothing has to be copied from a terminal. Each score is a JSON file with the accuracy of every task, how the tasks
# were sampled, and the fingerprints of weights and images. Its ``seed`` is that of the tasks; that of the training
# stands in the recipe of the run.

files = sorted((runs / "seed0" / "results").glob("*.json"))
print(*(file.name for file in files), sep="\n")
stated = json.loads(files[0].read_text())
print(
    {
        name: value
        for name, value in stated.items()
        if isinstance(value, int | float | str) and value != ""
    }
)

# %%
# ``scores.csv`` is for programs, ``scores.md`` for texts:

print((runs / "seed0" / "scores.md").read_text())

# %%
# The interval behind ± is over classes: what other novel classes may give. Papers mostly print the one in brackets,
# for these classes again, so hold that one beside a published number, and compare nothing but the tasks that the
# paper had: their number, ways, shots and queries.
#
# Is the gain real?
# -----------------
# Fine-tuning against pretraining, on the same tasks, in pairs:


def result_of(run, features, classifier="cosine", shots=1):
    """One result of a run."""
    return next(
        one
        for one in run.results
        if (one.features, one.classifier, one.shots)
        == (features, classifier, shots)
    )


gains = [
    s2m2.compare(result_of(run, "pretrain"), result_of(run, "finetune"))
    for run in finished
]
for run, gain in zip(finished, gains, strict=True):
    print(f"{run.path.name}\n{gain}\n")

# %%
# Each of these says something of two *networks*. Whether the *method* helps is a question about seeds as well. To see
# how much a seed does, compare the two runs of one and the same recipe:

chance = s2m2.compare(
    result_of(finished[0], "finetune"), result_of(finished[1], "finetune")
)
print(chance)

# %%
# That difference is luck, whatever its p-values are: the recipe is the same. So a gain counts if it is large beside
# what seeds do, and for that you need several. The interval of a mean gain over seeds, by Student's t:

differences = 100 * np.array([gain.difference for gain in gains])
for seeds in (2, 3, 5, 10):
    print(
        f"{seeds} seeds with this spread: ± {student.ppf(0.975, seeds - 1) * differences.std(ddof=1) / seeds**0.5:.2f} points"
    )
print(f"mean gain of our two: {differences.mean():+.2f} points")

# %%
# Two seeds say next to nothing of the spread, and its estimate is itself luck. Three are a beginning.

fig, ax = plt.subplots(figsize=(6, 2.8))
for run, marker in zip(finished, "os", strict=True):
    pair = [result_of(run, stage) for stage in ("pretrain", "finetune")]
    ax.plot(
        [0, 1], [100 * one.mean for one in pair], marker=marker, label=run.path.name
    )
ax.set(
    xticks=[0, 1],
    xticklabels=["after pretraining", "after fine-tuning"],
    xlim=(-0.4, 1.4),
    ylabel="1-shot accuracy, percent",
)
ax.legend()
fig.tight_layout()

# %%
# The table
# ---------
# ``s2m2.table`` puts results side by side: of a run, some of its results, or paths. Bold is only what the paired test
# over classes shows to be better than every other entry of its column, whatever the means are; the note says so, and
# why where nothing is bold. Every row is one network: what seeds do is in none of the intervals.

chosen = {
    run.path.name: [one for one in run.results if one.classifier == "cosine"]
    for run in finished
}
print(s2m2.table(chosen))

# %%
# For a paper, in LaTeX with the package booktabs. ``interval="tasks"`` would put the interval for these classes again
# behind ±, for a table that has only that.

print(s2m2.table(chosen, format="latex", caption="Our tiny row.", label="tab:tiny"))

# %%
# From the command line, and the paired test with it:
#
# .. code-block:: text
#
#    s2m2 table runs/seed0 runs/seed1 --classifiers cosine --output scores.tex
#    s2m2 compare runs/seed0 runs/seed1
#
# What to write beside it
# -----------------------
# Where the weights were selected (validation classes), on which classes the scores are (novel), how many tasks of how
# many queries, which interval, how many seeds, and what differs from the paper. The report of each run,
# ``report.html``, has all of it but the last, and its end states versions, hardware and the digest of the images.

work.cleanup()

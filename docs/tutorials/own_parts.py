"""
A backbone and a classifier of your own
=======================================

You have a network, or an idea for a few-shot classifier, and want it trained and scored like everything else: same
tasks, same intervals, same report. Neither needs a fork. A backbone is any ``nn.Module`` that turns images into
features; a classifier is a small class; both are named as ``module:object``.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import s2m2
from s2m2.classifiers import FewShotTasks, InductiveClassifier
from s2m2.data.glyphs import glyph_dataset

torch.set_num_threads(1)
work = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)

# %%
# A backbone
# ----------
# It takes normalized images "batch 3 size size" and gives features "batch dim". That is all. This one also has
# ``stages``, modules that give its features one after the other: manifold mixup then mixes before each of them. A
# network without is one stage, whose images and features can be mixed.


def block(channels, width):
    """Half the size, ``width`` channels."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )


class SmallNet(nn.Module):
    """Three blocks, and the mean of each quarter of the last map: 128 features."""

    def __init__(self):
        super().__init__()
        self.stages = nn.Sequential(
            block(3, 16),
            block(16, 32),
            nn.Sequential(block(32, 32), nn.AdaptiveAvgPool2d(2), nn.Flatten()),
        )

    def forward(self, images):
        return self.stages(images)


print(SmallNet()(torch.zeros(2, 3, 32, 32)).shape)

# %%
# A classifier, the quick way
# ---------------------------
# Anything with ``fit`` and ``predict_proba`` will do, so all classifiers of scikit-learn do: by name,
# ``"sklearn.neighbors:KNeighborsClassifier"``, with settings, or as an instance. A copy of it is fitted to one task
# after the other. Some features to try it on:

rng = np.random.default_rng(0)
centers = rng.normal(size=(20, 16))
y = np.repeat(np.arange(20), 30)
X = (centers[y] + rng.normal(size=(600, 16))).astype(np.float32)
tasks = {"ways": 5, "shots": 5, "tasks": 200}
neighbor = s2m2.evaluate(
    X,
    y,
    classifier={"name": "sklearn.neighbors:KNeighborsClassifier", "n_neighbors": 1},
    **tasks,
)
print(neighbor)

# %%
# A classifier, the fast way
# --------------------------
# The package scores a whole batch of tasks in one call. A subclass of ``InductiveClassifier`` does the same:
# ``fit_tasks`` gets the support of many tasks and returns an object with ``scores``. Its constructor parameters are
# its settings.
#
# The example is the rule of matching networks (Vinyals et al., NeurIPS 2016) on fixed features: every labeled image
# votes for its class, with a weight that grows with its cosine to the query.


@dataclass(kw_only=True, eq=False, repr=False)
class MatchingVotes(InductiveClassifier):
    """Votes of all support images, weighted by the softmax of their cosines to the query."""

    name = "matching_votes"
    title = "matching votes"

    scale: float = 10.0
    """Multiplier of the cosines."""

    def fit_tasks(self, tasks: FewShotTasks, generator: torch.Generator) -> "Votes":
        """Nothing to fit: keep the support, and which way each image is of."""
        return Votes(
            F.normalize(tasks.support, dim=-1), tasks.one_hot(), self.scale
        )


@dataclass
class Votes:
    """The support of a batch of tasks."""

    support: Tensor  # "task item dim"
    members: Tensor  # "task way item", 1 where an item is of a way
    scale: float

    def scores(self, query: Tensor) -> Tensor:
        """From "task query dim" to "task query way"; the softmax of scores are probabilities."""
        cosines = F.normalize(query, dim=-1) @ self.support.mT
        # log 0 leaves out the images of other ways
        return (
            self.scale * cosines[:, :, None] + self.members.log()[:, None]
        ).logsumexp(-1)


votes = s2m2.evaluate(X, y, classifier=MatchingVotes(), **tasks)
print(votes)
print(s2m2.compare(neighbor, votes))

# %%
# ``fit`` and ``predict`` of scikit-learn come with it, so one task can be looked at by hand. Let us check the batch
# against that: the same tasks, one by one.

by_hand = []
for support, query in s2m2.EpisodeSampler(
    y, ways=5, shots=5, queries=15, tasks=200, seed=0
):
    by_hand.append(
        MatchingVotes().fit(X[support], y[support]).score(X[query], y[query])
    )
print(
    "the same accuracy in each of the 200 tasks:",
    np.allclose(by_hand, votes.per_task),
)

# %%
# Such a loop from the paper is the best test of a fast classifier; write it first.
#
# Both in a run
# -------------
# ``s2m2.run`` takes them by name. In a script or notebook the module is ``__main__``; in a project it is the file
# that holds them, ``my_project.parts:SmallNet``. Prefer the file: a run remembers the names, and whoever opens it
# later must be able to import them.

glyph_dataset(Path(work.name, "data"), classes=60, images_per_class=30)
(dataset,) = Path(work.name, "data").iterdir()
settings = {
    "data": {"path": str(dataset)},
    "model": {"scale": 10},
    "pretrain": {
        "objective": "supervised",
        "epochs": 8,
        "batch_size": 32,
        "optimizer": {"learning_rate": 0.05},
        "validation": {"every": 4},
    },
    "finetune": {
        "epochs": 3,
        "patience": 0,
        "batch_size": 32,
        "optimizer": {"learning_rate": 0.005},
        "validation": {"tasks": 200},
    },
    "evaluate": {
        "tasks": 300,
        "shots": [5],
        "features": ["pretrain", "finetune"],
        "selection_tasks": 50,
    },
    "runtime": {"threads": 1, "accelerator": "cpu", "precision": "32-true"},
}
run = s2m2.run(
    settings,
    Path(work.name, "run"),
    backbone="__main__:SmallNet",
    classifier=[
        "cosine_centroid",
        {"name": "__main__:MatchingVotes", "scale": 20},
        {"name": "sklearn.neighbors:KNeighborsClassifier", "n_neighbors": 1},
    ],
)
for stage, outcome in run.outcomes.items():
    print(
        f"{stage}: weights after epoch {outcome.best_epoch} of {outcome.epochs} kept (0: those that the stage began with)"
    )
for row in run.scores:
    print(
        f"{row['features']:<9} {row['classifier']:<22} {100 * row['mean']:.2f} ± {100 * row['class_interval']:.2f}"
    )

# %%
# The report, checkpoints, ``s2m2.load`` and ``s2m2 compare`` know nothing of where the parts come from.

backbone = s2m2.load(run.path)
print(
    f"{backbone.recipe.model.backbone}: {len(backbone.backbone.stages)} stages, {backbone.feature_dim} features"
)
print("report:", run.report.name, f"{run.report.stat().st_size / 1e6:.1f} MB")

fig, ax = plt.subplots(figsize=(6, 2.6))
names = list(dict.fromkeys(row["classifier"] for row in run.scores))
for shift, stage in ((-0.12, "pretrain"), (0.12, "finetune")):
    rows = [row for row in run.scores if row["features"] == stage]
    places = [names.index(row["classifier"]) + shift for row in rows]
    ax.errorbar(
        [100 * row["mean"] for row in rows],
        places,
        xerr=[100 * row["class_interval"] for row in rows],
        fmt="o",
        capsize=3,
        label=stage,
    )
ax.set(
    yticks=range(len(names)),
    yticklabels=names,
    xlabel="5-way 5-shot accuracy, percent; bars: over classes",
)
ax.legend()
fig.tight_layout()

# %%
# The same from the command line, with both in ``my_project/parts.py``:
#
# .. code-block:: text
#
#    s2m2 run --model.backbone my_project.parts:SmallNet --evaluate.classifiers cosine_centroid my_project.parts:MatchingVotes
#
# What is checked before training
# -------------------------------
# A network that cannot be used is refused in a line before anything is written. This one gives maps, not features:


class Maps(nn.Module):
    """Forgets to flatten."""

    def __init__(self):
        super().__init__()
        self.layer = block(3, 8)

    def forward(self, images):
        return self.layer(images)


try:
    s2m2.run(settings, Path(work.name, "refused"), backbone="__main__:Maps")
except s2m2.InputError as error:
    print(error)
print("anything written:", Path(work.name, "refused").exists())

# %%
work.cleanup()

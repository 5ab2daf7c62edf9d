"""
Score your features with many classifiers, and compare them properly
====================================================================

You have features of images in an array, from any network, and labels. Which few-shot classifier suits them, and is
the difference real? ``s2m2.evaluate`` scores a classifier on thousands of small tasks sampled from them;
``s2m2.compare`` tests two scores in pairs. The mean is the easy part. This tutorial is about what stands behind it.
"""

import tempfile
from itertools import combinations
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

import s2m2
from s2m2.classifiers import load_class
from s2m2.data.glyphs import glyph_dataset

torch.set_num_threads(1)
work = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)

# %%
# Features in an array
# --------------------
# Any will do: ``X``, image by dimension, and ``y``, a label for each. Here they come from a small network, trained
# for seconds on the embedded dataset of characters. Its 20 *novel* classes are those that training has not seen.

glyphs = glyph_dataset(Path(work.name, "data"), classes=100, images_per_class=30)
(dataset,) = Path(work.name, "data").iterdir()
run = s2m2.pretrain(
    path=Path(work.name, "run"),
    data={"path": str(dataset)},
    model={"width": 16, "scale": 10},
    pretrain={
        "objective": "supervised",
        "epochs": 8,
        "batch_size": 32,
        "optimizer": {"learning_rate": 0.05},
        "validation": {"every": 8},
    },
    runtime={"threads": 1, "accelerator": "cpu", "precision": "32-true"},
)
backbone = run.backbone()
novel, base = glyphs.indices("novel"), glyphs.indices("base")
X, y = backbone.features(glyphs.images[novel]), glyphs.labels[novel]
base_features, base_labels = (
    backbone.features(glyphs.images[base]),
    glyphs.labels[base],
)
print(
    f"X: {X.shape}, {X.dtype}; y: {len(np.unique(y))} classes of {np.bincount(y).max()} images"
)

# %%
# One score, two intervals
# ------------------------
# A task takes 5 of the classes, 1 labeled image of each (the support), and 15 others of each to name (the queries).
# The score is the mean accuracy over all tasks.

result = s2m2.evaluate(
    X, y, classifier="cosine", ways=5, shots=1, queries=15, tasks=1000, seed=0
)
print(result)

# %%
# Two numbers follow the mean, each half of a 95 % interval.
#
# * ``ci95``, *these classes again*: where the mean would lie with endlessly many tasks of these very images. It is
#   the one that papers print, and it shrinks with every task.
# * ``ci95_classes``, *over classes*: where the mean may lie with other classes of the same kind. It is what you want
#   to know if you will use the method on classes of your own, and no number of tasks makes it small, as the classes
#   stay twenty.
#
# More tasks do not make more classes:

counts = [100, 300, 1000, 3000, 10_000]
by_count = [
    s2m2.evaluate(X, y, classifier="nearest_mean", tasks=tasks) for tasks in counts
]
fig, ax = plt.subplots(figsize=(6, 3))
ax.plot(
    counts, [100 * one.ci95_classes for one in by_count], "o-", label="over classes"
)
ax.plot(
    counts, [100 * one.ci95 for one in by_count], "s--", label="these classes again"
)
ax.set(
    xscale="log",
    yscale="log",
    xlabel="tasks",
    ylabel="half of the interval, points",
    title="nearest class mean, 5-way 1-shot",
)
ax.set_yticks([0.2, 0.5, 1, 2, 5], ["0.2", "0.5", "1", "2", "5"])
ax.minorticks_off()
ax.legend()
fig.tight_layout()

# %%
# Is the wide one honest? Cut the classes in two halves at random and score each: same network, same classifier, other
# classes of the same kind. Twelve such cuts show how far two halves differ, and how far they should at most, by
# either interval.


def halves_of(seed):
    """Whether each image is of the first half of the classes, and of the second."""
    first = np.isin(y, np.random.default_rng(seed).permutation(np.unique(y))[::2])
    return first, ~first


gaps, wide, narrow = [], [], []
for seed in range(12):
    one, other = (
        s2m2.evaluate(X[half], y[half], classifier="nearest_mean", tasks=1000)
        for half in halves_of(seed)
    )
    gaps.append(100 * abs(one.mean - other.mean))
    wide.append(100 * np.hypot(one.ci95_classes, other.ci95_classes))
    narrow.append(100 * np.hypot(one.ci95, other.ci95))

fig, ax = plt.subplots(figsize=(6, 3))
ax.bar(range(12), gaps, color="lightgray", label="difference of the halves")
ax.plot(range(12), wide, "o", label="expected at most, over classes")
ax.plot(range(12), narrow, "s", label="expected at most, these classes again")
ax.set(xlabel="cut", ylabel="points", ylim=(0, 1.5 * max(wide)))
ax.legend(fontsize=8)
fig.tight_layout()
print(
    f"within the interval over classes: {np.sum(np.less(gaps, wide))} of 12; these classes again: {np.sum(np.less(gaps, narrow))} of 12"
)

# %%
# Many classifiers
# ----------------
# Of the 17 that come with the package, eight are *inductive*: they name each query by itself. Nine are
# *transductive*: they look at all queries of a task together. A name is enough; settings go into a mapping,
# ``{"name": "tim", "steps": 500}``, or an instance, ``s2m2.TIM(steps=500)``. Some subtract the mean of the features
# that the network was trained on, and take it from ``base``.

inductive = [
    "nearest_mean",
    "cosine_centroid",
    "cosine",
    "logistic",
    "ridge",
    "svm",
]
transductive = [
    "soft_kmeans",
    "bd_cspn",
    "laplacian_shot",
    "pt_map",
    "tim_fast",
    "alpha_tim_fast",
]


def score(name, **settings):
    """Accuracy on 300 tasks, the same ones for every classifier."""
    return s2m2.evaluate(
        X,
        y,
        classifier=name,
        ways=5,
        shots=1,
        tasks=300,
        base=(base_features, base_labels),
        **settings,
    )


fixed = {name: score(name) for name in inductive + transductive}
for name, one in sorted(fixed.items(), key=lambda item: -item[1].mean):
    print(
        f"{name:<16} {100 * one.mean:6.2f} ± {100 * one.ci95_classes:5.2f} ({100 * one.ci95:.2f})"
    )

# %%
# A transductive classifier is told more: 75 unlabeled images beside the 5 labeled ones. Never let it stand among
# inductive ones without a word about that.

fig, ax = plt.subplots(figsize=(7, 4))
ordered = sorted(fixed, key=lambda name: fixed[name].mean)
for height, name in enumerate(ordered):
    one, color = fixed[name], "tab:orange" if name in transductive else "tab:blue"
    ax.errorbar(
        100 * one.mean,
        height,
        xerr=100 * one.ci95_classes,
        fmt="o",
        color=color,
        capsize=3,
        lw=1,
    )
    ax.errorbar(
        100 * one.mean,
        height,
        xerr=100 * one.ci95,
        fmt="none",
        color=color,
        lw=5,
        alpha=0.5,
    )
ax.set(
    yticks=range(len(ordered)),
    yticklabels=ordered,
    xlabel="5-way 1-shot accuracy, percent",
)
ax.set_title(
    "blue: inductive, orange: transductive\nthin: over classes, thick: these classes again",
    fontsize=10,
)
fig.tight_layout()

# %%
# Bars that overlap do not say that two classifiers are equal. A hard class is hard for each of them, so the bars move
# together. All scores above are of the same tasks, and what is hard for all of them drops out of the difference.
#
# Paired
# ------
# ``compare`` takes the difference within each task, and then its mean.

first, second = fixed["nearest_mean"], fixed["cosine_centroid"]
comparison = s2m2.compare(first, second)
print(comparison)

# %%
# What pairing is worth:

print(
    f"correlation of the two over tasks: {np.corrcoef(first.per_task, second.per_task)[0, 1]:.2f}"
)
apart = 100 * np.hypot(first.ci95_classes, second.ci95_classes)
print(
    f"the difference over classes: ± {100 * comparison.class_interval:.2f} in pairs, ± {apart:.2f} if each had its own classes"
)

# %%
# Again there are two answers. *Over classes*: is B better than A for classes of this kind? *These classes again*: is
# B better on these twenty? It is rare that two classifiers are exactly as good on given classes, so with enough tasks
# the second answer is nearly always yes. Judge a method by the first.

# Take one of the cuts above, and ask which gains of the first ten classes come back on the other ten.

ten, others_ten = (
    {
        name: s2m2.evaluate(X[half], y[half], classifier=name, tasks=2000)
        for name in inductive
        if name != "cosine"
    }
    for half in halves_of(0)
)
recurs = {"class_interval": 0, "interval": 0}
pairs = [*combinations(ten, 2)]
for pair in pairs:
    here, there = (
        s2m2.compare(*map(ten.get, pair)),
        s2m2.compare(*map(others_ten.get, pair)),
    )
    for kind in recurs:
        recurs[kind] += abs(here.difference - there.difference) <= np.hypot(
            getattr(here, kind), getattr(there, kind)
        )
print(
    f"pairs whose gain is the same on the other ten classes, as far as the interval says: over classes {recurs['class_interval']}",
    end=", ",
)
print(f"these classes again {recurs['interval']}, of {len(pairs)}")

# %%
# The best inductive one against each of the others. A p-value is small by chance now and then; of several, multiply
# each by their number (Bonferroni).

best = max(inductive, key=lambda name: fixed[name].mean)
others = [name for name in inductive if name != best]
for name in others:
    pair = s2m2.compare(fixed[name], fixed[best])
    adjusted = min(1, len(others) * pair.class_p_value)
    gain = f"{100 * pair.difference:+5.2f} ± {100 * pair.class_interval:.2f}"
    print(
        f"{best} - {name:<16} {gain}, p = {pair.class_p_value:.2g}, adjusted {adjusted:.2g}"
    )

# %%
# Still, whoever picks the best of several and tests it on the same tasks has picked its luck too. Choose on
# validation classes, report on novel ones.
#
# Results of different tasks are refused, so nothing is paired by mistake:

try:
    s2m2.compare(first, s2m2.evaluate(X, y, classifier="cosine", tasks=300, seed=1))
except s2m2.InputError as error:
    print(error)

# %%
# Unbalanced queries
# ------------------
# In the tasks so far every class has 15 queries, and some transductive classifiers make use of that: they give each
# class its part of the queries. In an application nobody promises it. Protocol ``dirichlet`` samples the proportions
# of the classes for each task; 75 queries in all, as before.

for support, query in s2m2.EpisodeSampler(
    y, ways=5, shots=1, queries=15, tasks=3, protocol="dirichlet"
):
    print(
        "queries of each class in a task:",
        [int((y[query] == label).sum()) for label in y[support]],
    )

# %%
dirichlet = {
    name: score(name, protocol="dirichlet") for name in inductive + transductive
}
assumes = {name: load_class(name)().assumes_balance() for name in fixed}
print(f"{'':<16} balanced  unbalanced")
for name in fixed:
    print(
        f"{name:<16} {100 * fixed[name].mean:8.2f}  {100 * dirichlet[name].mean:10.2f}  {'assumes balance' if assumes[name] else ''}"
    )

# %%
change = {name: 100 * (dirichlet[name].mean - fixed[name].mean) for name in fixed}
ordered = sorted(change, key=lambda name: change[name])
fig, ax = plt.subplots(figsize=(7, 3.5))
ax.barh(
    ordered,
    [change[name] for name in ordered],
    color=["tab:red" if assumes[name] else "tab:gray" for name in ordered],
)
ax.axvline(0, color="black", lw=0.8)
ax.set(
    xlabel="accuracy with unbalanced less that with balanced queries, points",
    title="red: assumes as many queries of every class",
)
fig.tight_layout()

# %%
# The two columns are of different tasks, so small differences mean nothing. What a classifier that names each query
# by itself says of a query does not depend on the others. For those in red, ask whether your queries are balanced
# before you believe the left column. ``alpha_tim`` and ``alpha_tim_fast`` were made for queries that are not, and
# ``soft_kmeans`` assumes nothing of them either.

usable = [name for name in fixed if not assumes[name]]
print(
    "without that assumption, best with unbalanced queries:",
    max(usable, key=lambda name: dirichlet[name].mean),
)

# %%
# What to write down
# ------------------
# A result keeps everything that shaped it: classifier and settings, tasks and seed, and the accuracy of each task.
# ``to_json`` of it is a file that can be compared in pairs years later.

text = result.results.to_json()
print(
    f"{len(text) / 1024:.0f} kB;",
    {
        name: getattr(result.results, name)
        for name in ("classifier", "ways", "shots", "queries", "tasks", "seed")
    },
)

# %%
work.cleanup()

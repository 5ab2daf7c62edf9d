"""
Your own classes, from photos to a page
=======================================

You have a few photos of each of some classes and want a program that names further ones, says how sure it is, and
admits when a photo shows none of them. ``s2m2.ImageClassifier`` does that without training a network: the backbone
comes with the package, and only a small classifier on its features is fitted.

The "photos" here are drawn by the script, so that it runs anywhere. With your own, replace ``photos`` by a folder
that holds a folder for each class.
"""

import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
import torch
from PIL import Image, ImageDraw, ImageFilter

import s2m2

torch.set_num_threads(1)
work = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
photos = Path(work.name, "photos")

# %%
# Some photos
# -----------
# Flowers on grass, in different sizes, places, colors and light. Five photos of each class get a label; the others
# are new to the model.

FLOWERS = {  # number of petals, their color, that of the center; length and width of a petal; radius of the center
    "buttercup": (5, (240, 205, 40), (215, 165, 40), 0.8, 0.65, 0.22),
    "celandine": (8, (240, 205, 40), (215, 165, 40), 0.9, 0.4, 0.22),
    "chamomile": (12, (240, 240, 235), (235, 190, 40), 0.9, 0.26, 0.38),
    "cinquefoil": (5, (240, 210, 80), (225, 180, 60), 0.85, 0.5, 0.18),
    "daisy": (15, (240, 240, 235), (235, 190, 40), 1.0, 0.2, 0.28),
    "poppy": (4, (215, 50, 40), (40, 25, 30), 0.9, 0.9, 0.2),
}


def flower(name, rng):
    """A photo of a flower, 240 x 180 pixels."""
    petals, petal_color, center_color, *shape = FLOWERS[name]
    length, width, center = np.array(shape) * rng.lognormal(sigma=0.15, size=3)
    petals += rng.integers(-1, 2)
    grass = (
        np.array([70, 110, 50])
        + rng.normal(scale=22, size=(45, 60, 1))
        + rng.normal(scale=12, size=3)
    )
    photo = Image.fromarray(grass.clip(0, 255).astype(np.uint8)).resize((240, 180))
    draw = ImageDraw.Draw(photo)
    middle, size, turn = (
        rng.uniform((80, 70), (160, 110)),
        rng.uniform(30, 70),
        rng.uniform(0, 2 * np.pi),
    )
    corners = np.linspace(0, 2 * np.pi, 24)
    for angle in (
        turn
        + 2 * np.pi * np.arange(petals) / petals
        + rng.normal(scale=0.06, size=petals)
    ):
        along, across = (
            length * (1 + np.cos(corners)) / 2,
            width * np.sin(corners) / 2,
        )
        outline = middle[:, None] + size * np.stack(
            [
                np.cos(angle) * along - np.sin(angle) * across,
                np.sin(angle) * along + np.cos(angle) * across,
            ]
        )
        color = (np.array(petal_color) + rng.normal(scale=14, size=3)).clip(0, 255)
        draw.polygon(
            [*map(tuple, outline.T)],
            fill=tuple(color.astype(int)),
            outline=tuple((0.75 * color).astype(int)),
        )
    draw.ellipse(
        [*(middle - center * size), *(middle + center * size)], fill=center_color
    )
    light = Image.fromarray(
        (np.asarray(photo) * rng.uniform(0.6, 1.1)).clip(0, 255).astype(np.uint8)
    )
    return light.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 3)))


rng = np.random.default_rng(0)
known = ["buttercup", "celandine", "chamomile", "cinquefoil", "daisy"]
for name in known:
    (photos / name).mkdir(parents=True)
    for number in range(5):
        flower(name, rng).save(photos / name / f"{number}.jpg")
new_labels = [name for name in known for _ in range(6)]
new_photos = [flower(name, rng) for name in new_labels]

fig, axes = plt.subplots(2, len(known), figsize=(8, 2.7))
for column, name in zip(axes.T, known, strict=True):
    for number, ax in enumerate(column):
        ax.imshow(Image.open(photos / name / f"{number}.jpg"))
        ax.axis("off")
    column[0].set_title(name, fontsize=9)
fig.tight_layout()

# %%
# Fit, and read the estimate
# --------------------------
# ``fit`` takes the folder: the names of its folders are the classes. The photos pass through the backbone once.

model = s2m2.ImageClassifier().fit(photos)
print(model.classes_)

# %%
# Before you use the model, ask how good it will be. Each labeled photo is named by a classifier that was fitted
# without it, so nothing is named by a model that has seen it.

report = model.report()
print(report)

# %%
# Read it from the top: the fraction that will be named right, with an interval, which is wide as the photos are few;
# what the probabilities, the sets and "unknown" were calibrated on; then what to do next, the most useful first. A
# label that "looks wrong" is a question, not a verdict: all labels here are right, as the script drew the photos.
#
# The same as a page, with the photos in question:

page = report.to_html(Path(work.name, "flowers.html"))
print(
    f"{page.name}: {page.stat().st_size / 1024:.0f} kB, one file that holds all it shows"
)

# %%
# Name new photos
# ---------------
# ``predict`` takes paths, Pillow images, arrays, or lists of them. It answers with a class, or with ``None`` for
# "none of these".

answers = model.predict(new_photos)
right = sum(said == true for said, true in zip(answers, new_labels, strict=True))
turned_away = sum(said is None for said in answers)
print(
    f"{right} of {len(new_labels)} new photos named right, {turned_away} turned away; estimated: {report.estimate.accuracy:.0%} right"
)

# %%
# How sure is it?
# ---------------
# ``predict_proba`` gives calibrated probabilities: of many photos that are named with a probability of 0.8, about 80
# % are meant to be right. ``predict_set`` answers another question: which classes *may* it be, so that the right one
# is among them 95 % of the time? An easy photo gets one class, a doubtful one several.

probabilities = model.predict_proba(new_photos)
sets = model.predict_set(new_photos, coverage=0.95)
for position in np.argsort(probabilities.max(axis=1))[:3]:
    said, probability = (
        model.classes_[probabilities[position].argmax()],
        probabilities[position].max(),
    )
    print(
        f"{new_labels[position]}: {said} ({probability:.2f}), set {sets[position]}"
    )
held = sum(true in one for one, true in zip(sets, new_labels, strict=True))
mean_size = np.mean([len(one) for one in sets])
print(
    f"These were the three least sure. {held} of {len(sets)} sets hold the right class; {mean_size:.2f} classes in a set on average."
)

# %%
# The 95 % are an average over many photos, and hold as far as your classes are like those of the calibration: of
# thirty sets, some more or fewer may hold the right class.
#
# None of these
# -------------
# What does the model say to things it has never been shown: another flower, and pebbles?


def pebbles(rng):
    """A photo of pebbles."""
    photo = Image.new("RGB", (240, 180), (150, 140, 125))
    draw = ImageDraw.Draw(photo)
    for _ in range(60):
        corner, size = (
            rng.uniform((-20, -20), (230, 170)),
            rng.uniform(15, 50, size=2),
        )
        draw.ellipse(
            [*corner, *(corner + size)],
            fill=tuple(rng.integers(90, 200) + rng.integers(-12, 12, size=3)),
            outline=(80, 75, 70),
        )
    return photo.filter(ImageFilter.GaussianBlur(1))


poppies, stones = (
    [flower("poppy", rng) for _ in range(8)],
    [pebbles(rng) for _ in range(8)],
)
for unknown in (0.2, 0.02, 0.05):  # the last is the default, and stays
    model.set_params(unknown=unknown)
    counted = (
        (sum(said is None for said in model.predict(some)), len(some))
        for some in (poppies, stones, new_photos)
    )
    caught = (f"{away} of {number}" for away, number in counted)
    print(
        "unknown={:.2f}: turned away {} poppies, {} photos of pebbles, {} known flowers".format(
            unknown, *caught
        )
    )

# %%
# ``unknown`` is the price: the fraction of photos of *your* classes that may be turned away. The more you pay, the
# more strangers are caught. A stranger that looks like one of your classes is the hardest kind: the report above says
# how many of such are expected to be caught.
#
# Add a class, correct a mistake
# ------------------------------
# If poppies keep coming, make them a class. Only the new photos pass through the backbone.

model.partial_fit(poppies[:5], ["poppy"] * 5)
print(model.classes_)
print("the other three poppies:", model.predict(poppies[5:]))

# %%
# A wrong answer becomes a labeled photo by ``correct``, and ``undo`` takes back the last change. Of all new photos,
# let us correct the one whose right class had the smallest probability.

position = min(
    range(len(new_labels)),
    key=lambda item: probabilities[item, known.index(new_labels[item])],
)
photo, label = new_photos[position], new_labels[position]


def probability_of_label():
    """What the model now gives to the right class of that photo."""
    return model.predict_proba([photo])[0, model.classes_.tolist().index(label)]


before = probability_of_label()
model.correct(photo, label)
after = probability_of_label()
model.undo()
print(
    f"{label}: probability {before:.2f}, after correct() {after:.2f}, after undo() {probability_of_label():.2f}"
)

# %%
# Save, load
# ----------
# A saved model is a folder of safetensors and JSON; nothing in it is code.

model.save(Path(work.name, "flowers"))
again = s2m2.ImageClassifier.load(Path(work.name, "flowers"))
print(sorted(path.name for path in Path(work.name, "flowers").iterdir()))
print(
    "same probabilities:",
    np.array_equal(again.predict_proba(poppies), model.predict_proba(poppies)),
)

# %%
# The folder holds small copies of the labeled photos, so think of whose they are before you pass it on.
#
# The same from the command line, for as many photos as you like, and the page on which one drops photos, corrects and
# adds classes:
#
# .. code-block:: text
#
#    s2m2 fit photos/ --output flowers
#    s2m2 predict flowers new_photos/ --output predictions.csv
#    s2m2 serve flowers
#
# Without Python's torch
# ----------------------
# ``export_onnx`` writes one file with everything from pixels to probabilities. It is checked against the model before
# it appears. onnxruntime then needs neither torch nor s2m2:

model.export_onnx(Path(work.name, "flowers.onnx"))
session = onnxruntime.InferenceSession(Path(work.name, "flowers.onnx"))
about = session.get_modelmeta().custom_metadata_map
classes = json.loads(about["classes"])
photo = poppies[-1]
onnx_probabilities, familiarity = session.run(None, {"image": np.asarray(photo)})
print(
    f"onnxruntime: {classes[onnx_probabilities.argmax()]} ({onnx_probabilities.max():.3f})"
)
print(
    f"s2m2: {model.classes_[model.predict_proba([photo]).argmax()]} ({model.predict_proba([photo]).max():.3f})"
)
print("none of these:", bool(familiarity < float(about["unknown_threshold"])))

# %%
work.cleanup()

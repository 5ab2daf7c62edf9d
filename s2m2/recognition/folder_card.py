"""The card of a saved `ImageClassifier`: what it names, how it was made, what its probabilities are worth, and how to use it."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from s2m2 import __version__
from s2m2.escaping import code, plain
from s2m2.recognition.extractors import FEATURES, TIMM, split_timm
from s2m2.reports.tables import markdown_table

if TYPE_CHECKING:
    from s2m2.recognition.classifier import ImageClassifier

FRONT = """---
library_name: s2m2
pipeline_tag: image-classification
tags: [few-shot, image-classification, s2m2]
---
"""


def model_card(model: "ImageClassifier") -> str:
    """Markdown, with front matter for model hubs."""
    support, calibration = model.support_, model.calibration_
    counts = Counter(support.labels)
    rows = [(code(str(label)), str(counts[label])) for label in model.classes_.tolist()]
    parts = [
        FRONT,
        f"# {len(rows)} classes from {len(support.active)} images\n",
        f"Names images after a few labeled ones of each class; made with s2m2, version {__version__}.\n",
        '## Use\n\n```python\nimport s2m2\n\nmodel = s2m2.ImageClassifier.load("this folder")\nmodel.predict(["photo.jpg"])\n```\n\n'
        "Or `s2m2 predict FOLDER photos/ --output predictions.csv`.\n",
        "## Classes\n\n" + markdown_table(("class", "labeled images"), rows) + "\n",
        "## How it was made\n\n" + "\n".join(f"* {fact}" for fact in _facts(model)) + "\n",
        f"## Probabilities\n\n{calibration.sentence(model.unknown)}\n",
    ]
    return "\n".join(parts)


def _facts(model: "ImageClassifier") -> list[str]:
    facts = [f"Classifier: {model.classifier_.title}."]
    if model.backbone == FEATURES:
        facts.append("Backbone: none; it takes features.")
    else:
        name = model.extractor().name
        name = f"{TIMM}{split_timm(name)[0]}" if name.startswith(TIMM) else Path(name).name
        facts.append(f"Backbone: {plain(name)}, trained on {plain(model.extractor().seen)}, and frozen.")
    if model.support_.thumbnails and any(model.support_.thumbnails):
        facts.append("The folder holds features and small copies of the labeled images.")
    facts += [f"{plain(note)}." for note in model.notes_]
    return facts

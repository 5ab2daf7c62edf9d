"""The code of how-to pages does what the page says."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import s2m2
from s2m2.models.custom import custom_backbone

HOW_TO = Path(__file__).parents[2] / "docs" / "how_to"

pytestmark = pytest.mark.usefixtures("one_thread")


def first_code(page: str) -> str:
    """The first Python block of a page."""
    match = re.search(r"```python\n(.*?)```", (HOW_TO / f"{page}.md").read_text(encoding="utf-8"), re.DOTALL)
    assert match is not None
    return match[1]


def test_a_classifier_of_ones_own_scores_tasks_with_its_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "howto_heads.py").write_text(first_code("own_classifier"))
    monkeypatch.syspath_prepend(tmp_path)
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(8), 20)
    X = (rng.normal(size=(8, 16))[y] + rng.normal(size=(160, 16))).astype(np.float32)
    spec = {"name": "howto_heads:UnitCentroid", "scale": 20.0}
    result = s2m2.evaluate(X, y, classifier=spec, shots=1, queries=5, tasks=50)
    # Of one shot the mean of unit features has the direction of the feature.
    assert result.mean == s2m2.evaluate(X, y, classifier="cosine_centroid", shots=1, queries=5, tasks=50).mean
    assert result.results.settings == {"scale": 20.0}


def test_a_backbone_of_ones_own_has_stages_to_mix_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "howto_nets.py").write_text(first_code("own_backbone"))
    monkeypatch.syspath_prepend(tmp_path)
    backbone = custom_backbone("howto_nets:Net", image_size=32)
    assert len(backbone.stages) == 2
    assert backbone(torch.rand(2, 3, 32, 32)).shape == (2, 64)


def test_mixup_in_a_network_of_ones_own() -> None:
    class Net(nn.Sequential):
        def __init__(self) -> None:
            super().__init__()
            for name, width in (("conv1", 3), ("layer1", 4), ("layer2", 4), ("layer3", 4)):
                self.add_module(name, nn.Conv2d(width, 4, 3, padding=1))
            self.add_module("head", nn.Sequential(nn.Flatten(), nn.Linear(4 * 64, 64)))

    net, loader = Net(), [(torch.rand(4, 3, 8, 8), torch.tensor([0, 1, 2, 63]))]
    names = {"net": net, "loader": loader}
    exec(first_code("mixup_in_your_network"), names)
    assert names["loss"].isfinite()  # type: ignore[attr-defined]
    assert names["targets"].shape == (4, 64)  # type: ignore[attr-defined]
    only_images = s2m2.ManifoldMixup([], include_input=True, prob=0.5)
    logits, targets = only_images(net, *loader[0], num_classes=64)
    assert F.cross_entropy(logits, targets).isfinite()

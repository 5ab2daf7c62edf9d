"""Ten thousand classes: memory and time grow with images and classes, not with their product."""

import resource
from pathlib import Path

import numpy as np
import pytest
import torch

from s2m2.classifiers import base
from s2m2.classifiers.base import FewShotTasks
from s2m2.cli import main
from s2m2.recognition import ImageClassifier, leaving_out
from s2m2.recognition.leaving_out import leave_out

CLASSES, SHOTS, DIM = 10_000, 3, 64


def test_class_means_of_many_classes_are_those_of_few(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = torch.tensor([[2, 0, 1, 1, 0, 0], [0, 1, 2, 2, 2, 1]])
    tasks = FewShotTasks(support=torch.randn(2, 6, 4), labels=labels, query=torch.randn(2, 1, 4), ways=3, shots=None)
    expected = tasks.class_means()
    monkeypatch.setattr(base, "MAX_ONE_HOT", 1)
    torch.testing.assert_close(tasks.class_means(), expected)


def test_folds_one_by_one_are_those_together(monkeypatch: pytest.MonkeyPatch) -> None:
    features = np.random.default_rng(0).normal(size=(90, 6)).astype(np.float32)
    model = ImageClassifier("features", "cosine_centroid").fit(features, np.repeat([*"abc"], 30))
    together, ways = model.left_out(), torch.arange(3).repeat_interleave(30)
    assert together is not None
    monkeypatch.setattr(leaving_out, "MAX_VALUES", 1)
    single = leave_out(torch.from_numpy(features), ways, model.classifier_, 0)
    assert single is not None
    assert torch.equal(single.items, together.items)
    torch.testing.assert_close(single.queries.scores, together.queries.scores, rtol=1e-5, atol=1e-6)
    monkeypatch.setattr(leaving_out, "MAX_SCORES", 90)
    part = leave_out(torch.from_numpy(features), ways, model.classifier_, 0)
    assert part is not None
    assert 15 < len(part.items) < 45
    assert torch.equal(part.ways, ways[part.items])
    vars(model.fitted_)["left_out"] = part
    assert f"From {len(part.items)} labeled images" in " ".join(model.report().text().split())


@pytest.mark.slow
def test_ten_thousand_classes_are_fitted_and_predicted(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    centers = generator.normal(size=(CLASSES, DIM)).repeat(SHOTS, axis=0)
    features = (centers + 0.3 * generator.normal(size=centers.shape)).astype(np.float32)
    names = [f"class {item // SHOTS}" for item in range(len(features))]
    model = ImageClassifier("features").fit(features, names)
    assert (model.predict_proba(features[:100]).argmax(-1) == [model.classes_.tolist().index(name) for name in names[:100]]).mean() > 0.95
    model.save(tmp_path / "model")
    np.savez(tmp_path / "f.npz", features=features[:100])
    assert main(["predict", str(tmp_path / "model"), str(tmp_path / "f.npz"), "--output", str(tmp_path / "p.csv")]) == 0
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 101
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 6e6  # kilobytes

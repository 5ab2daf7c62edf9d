"""Linear classifiers on features whose inner products are too large for float32."""

from functools import partial

import pytest
import torch

from s2m2.classifiers.base import FewShotTasks
from s2m2.classifiers.building import build_classifier
from s2m2.classifiers.span import support_span
from s2m2.random import generator_for
from tests.reference.evaluate import changed
from tests.reference.inductive import loop, ridge

DIM = 12_288


def pixel_tasks(shots: int, scale: float) -> FewShotTasks:
    """Tasks of images that are much alike, from 0 to 255 times `scale`."""
    generator = generator_for(0, "pixels", shots)
    normal = partial(torch.randn, generator=generator)
    scene, ways = 128 + 40 * normal(DIM), 10 * normal(2, 5, 1, DIM)
    support, query = ((scene + ways + 5 * normal(2, 5, count, DIM)).round().clamp(0, 255) for count in (shots, 3))
    labels = torch.arange(5).repeat_interleave(shots).expand(2, -1)
    return FewShotTasks(support=scale * support.flatten(1, 2), labels=labels, query=scale * query.flatten(1, 2), ways=5, shots=shots)


@pytest.mark.parametrize("scale", [1.0, 100.0])
@pytest.mark.parametrize("shots", [1, 20])
@pytest.mark.parametrize("name", ["logistic", "ridge", "svm", "cosine_converged"])
def test_large_features_of_many_dimensions_are_fitted(name: str, shots: int, scale: float) -> None:
    tasks = pixel_tasks(shots, scale)
    scores = build_classifier(name)(tasks, generator_for(0))
    assert torch.equal(scores.argmax(-1), torch.arange(5).repeat_interleave(3).expand(2, -1))


def test_ridge_on_them_is_that_of_scikit_learn() -> None:
    tasks = pixel_tasks(2, 100.0)
    scores = build_classifier("ridge")(tasks, generator_for(0)).double()
    torch.testing.assert_close(scores, loop(tasks, ridge(1.0)), rtol=1e-3, atol=1e-3)


def test_inner_products_have_the_digits_of_float64() -> None:
    support = pixel_tasks(20, 100.0).support
    exact = changed(pixel_tasks(20, 100.0), torch.Tensor.double).support
    torch.testing.assert_close(support_span(support, centered=False).gram, exact @ exact.mT, rtol=1e-12, atol=0)

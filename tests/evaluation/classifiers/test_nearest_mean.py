import numpy as np
import torch
from sklearn.neighbors import NearestCentroid
from torch import Tensor

from s2m2.evaluation.classifiers import nearest_mean
from s2m2.seeding import generator_for
from tests.reference.nearest_mean import squared_distances


def tasks(count: int = 6, ways: int = 4, shots: int = 3, dim: int = 10) -> tuple[Tensor, Tensor]:
    """Support and queries."""
    generator = generator_for(0, "mean tasks")
    return torch.randn(count, ways, shots, dim, generator=generator), torch.randn(count, ways, 5, dim, generator=generator)


def scores_of(support: Tensor, query: Tensor) -> Tensor:
    return nearest_mean(support, query, generator_for(0))


def test_differences_of_scores_are_differences_of_squared_distances() -> None:
    support, query = tasks()
    scores = scores_of(support, query).double()
    distances = torch.stack([squared_distances(*task) for task in zip(support, query, strict=True)])
    torch.testing.assert_close(scores[..., 1:] - scores[..., :1], distances[..., :1] - distances[..., 1:], rtol=1e-5, atol=1e-5)


def test_predictions_are_those_of_scikit_learns_nearest_centroid() -> None:
    support, query = tasks()
    predicted = scores_of(support, query).argmax(-1)
    for task in range(len(support)):
        model = NearestCentroid().fit(support[task].flatten(0, 1).numpy(), np.repeat(np.arange(4), 3))
        assert predicted[task].flatten().tolist() == model.predict(query[task].flatten(0, 1).numpy()).tolist()


def test_moving_all_features_changes_no_score() -> None:
    support, query = tasks()
    offset = 100 * torch.randn(10, generator=generator_for(1))
    torch.testing.assert_close(scores_of(support + offset, query + offset), scores_of(support, query), rtol=1e-3, atol=1e-2)


def test_turning_all_features_changes_no_score() -> None:
    support, query = tasks()
    turn = torch.linalg.qr(torch.randn(10, 10, generator=generator_for(2))).Q
    torch.testing.assert_close(scores_of(support @ turn, query @ turn), scores_of(support, query), rtol=1e-4, atol=1e-4)


def test_reordering_the_classes_reorders_the_scores() -> None:
    support, query = tasks()
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(scores_of(support[:, order], query[:, order]), scores_of(support, query)[:, order][..., order])


def test_nothing_is_drawn() -> None:
    generator = generator_for(3)
    before = generator.get_state()
    nearest_mean(*tasks(), generator)
    assert torch.equal(before, generator.get_state())

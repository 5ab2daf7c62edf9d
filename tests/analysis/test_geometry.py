import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from s2m2.analysis import geometry
from s2m2.analysis.geometry import (
    _Neighbors,
    class_spectrum,
    double_chunks,
    min_soft_nearest_neighbor_loss,
    singletons,
    soft_nearest_neighbor_loss,
    squared_distances,
)
from s2m2.random import generator_for
from tests.reference import representation as slow


def clouds(spread: float = 1.0, items: int = 30, dim: int = 6, classes: int = 3) -> tuple[Tensor, Tensor]:
    """Items around the means of their classes, and their labels."""
    generator = generator_for(0, "clouds", items, dim, classes)
    labels = torch.randint(classes, (items,), generator=generator)
    means = torch.randn(classes, dim, generator=generator, dtype=torch.float64)
    return means[labels] + spread * torch.randn(items, dim, generator=generator, dtype=torch.float64), labels


@pytest.mark.parametrize("temperature", [0.3, 2.0, 50.0])
@pytest.mark.parametrize("dim", [2, 40])
def test_the_loss_equals_the_slow_twins(temperature: float, dim: int) -> None:
    features, labels = clouds(dim=dim)
    expected = slow.soft_nearest_neighbor_loss(features.numpy(), labels.tolist(), temperature)
    assert float(soft_nearest_neighbor_loss(features, labels, temperature)) == pytest.approx(expected, rel=1e-10)


def test_the_gradient_of_the_loss_at_a_fixed_temperature_is_right() -> None:
    features, labels = clouds(items=6, dim=2)
    features[3] = features[5]  # two items in one place
    assert torch.autograd.gradcheck(lambda values: soft_nearest_neighbor_loss(values, labels, 1.5), features.requires_grad_())


def test_singletons_are_left_out_but_remain_neighbors() -> None:
    features, labels = clouds(items=12)
    labels = torch.tensor([0, 0, 1, 1, 8, 0, 1, 9, 0, 1, 0, 1])
    assert singletons(labels).nonzero().flatten().tolist() == [4, 7]
    found = float(soft_nearest_neighbor_loss(features, labels, 2.0))
    assert found == pytest.approx(slow.soft_nearest_neighbor_loss(features.numpy(), labels.tolist(), 2.0), rel=1e-10)
    others = ~singletons(labels)
    assert found != pytest.approx(float(soft_nearest_neighbor_loss(features[others], labels[others], 2.0)), rel=1e-3)


def test_classes_of_one_item_each_have_no_loss() -> None:
    for loss in (lambda values, labels: soft_nearest_neighbor_loss(values, labels, 1.0), min_soft_nearest_neighbor_loss):
        with pytest.raises(ValueError, match="no two items"):
            loss(torch.randn(3, 2), torch.arange(3))


def test_loss_is_finite_at_low_temperature_and_at_its_limit_at_high_temperature() -> None:
    features, labels = clouds(items=20)
    assert math.isfinite(float(soft_nearest_neighbor_loss(1000 * features, labels, 1e-6)))
    own = [int((labels == label).sum()) - 1 for label in labels]
    expected = sum(math.log(19 / count) for count in own) / 20
    assert float(soft_nearest_neighbor_loss(features, labels, 1e12)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0])
def test_minimum_over_temperatures_is_the_minimum(spread: float) -> None:
    features, labels = clouds(spread)
    found = min_soft_nearest_neighbor_loss(features, labels)
    assert float(soft_nearest_neighbor_loss(features, labels, found.temperature)) == pytest.approx(found.loss, rel=1e-12)
    scale = float(squared_distances(features).sum()) / (30 * 29)

    def twin(logarithm: float) -> float:
        return slow.soft_nearest_neighbor_loss(features.numpy(), labels.tolist(), scale * math.exp(logarithm))

    assert found.loss <= min(twin(logarithm) for logarithm in np.linspace(-4, math.log(1e4), 60)) + 1e-9
    bounds = (math.log(found.temperature / scale) - 1, min(math.log(found.temperature / scale) + 1, math.log(1e4)))
    refined = minimize_scalar(twin, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    assert found.loss == pytest.approx(float(refined.fun), abs=1e-7)


def test_global_minimum_among_several_is_found() -> None:
    # Pairs of one class stand in two rows far apart, with more pairs of one class in each. The nearest neighbor is of the item's own
    # class, and most of the row is; but the pairs beside it are not.
    classes = [int(place in (0, 2, 4)) for place in range(8)]
    pairs = [(3.0 * place, 1 - own) for place, own in enumerate(classes)] + [(1000 + 3.0 * place, own) for place, own in enumerate(classes)]
    features = torch.tensor([[place + offset] for place, _ in pairs for offset in (0.0, 0.1)], dtype=torch.float64)
    labels = torch.tensor([own for _, own in pairs]).repeat_interleave(2)
    scale = float(squared_distances(features).sum()) / (32 * 31)
    grid = [float(soft_nearest_neighbor_loss(features, labels, scale * math.exp(log))) for log in np.linspace(-9.2, 9.2, 200)]
    valleys = [now for before, now, after in zip(grid, grid[1:], grid[2:], strict=False) if before > now < after]
    assert len(valleys) >= 2
    assert min_soft_nearest_neighbor_loss(features, labels).loss <= min(grid) + 1e-9


def test_minimum_is_invariant_to_scale_and_offset() -> None:
    features, labels = clouds()
    one, other = (min_soft_nearest_neighbor_loss(values, labels) for values in (features, 100 * features + 7))
    assert other.loss == pytest.approx(one.loss, rel=1e-6)
    assert other.temperature == pytest.approx(1e4 * one.temperature, rel=1e-2)


def test_entangled_classes_have_a_larger_minimum_than_separate_ones() -> None:
    losses = [min_soft_nearest_neighbor_loss(*clouds(spread)).loss for spread in (0.1, 0.5, 2.0)]
    assert losses == sorted(losses)
    assert losses[0] < 0.05 < losses[2]


def test_rounding_takes_no_loss_below_zero_and_leaves_the_gradient_alone() -> None:
    negative = 0
    for seed in range(20):
        generator = generator_for(seed, "rounding")
        features, labels = torch.randn(40, 6, generator=generator, dtype=torch.float64), torch.arange(40) % 2
        features = features + 40 * labels[:, None]
        neighbors = _Neighbors(squared_distances(features), labels)
        negative += int(bool(((-neighbors.to_all / 5).logsumexp(1) < (-neighbors.to_class / 5).logsumexp(1)).any()))
        for loss in (soft_nearest_neighbor_loss(features, labels, 5.0), min_soft_nearest_neighbor_loss(features, labels).loss):
            assert float(loss) >= 0
            assert f"{float(loss):.3f}" == "0.000"
    assert negative > 0
    one_class, nobody = (
        torch.randn(9, 3, generator=generator_for(0), dtype=torch.float64).requires_grad_(),
        torch.zeros(9, dtype=torch.int64),
    )
    assert torch.autograd.gradcheck(lambda values: soft_nearest_neighbor_loss(values, nobody, 2.0), one_class)


def test_identical_items_have_the_chance_loss() -> None:
    found = min_soft_nearest_neighbor_loss(torch.full((8, 5), 3.3), torch.arange(8) % 2)
    assert found.loss == pytest.approx(math.log(7 / 3))


def test_distances_of_float32_features_far_from_zero_are_precise_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s2m2.analysis.geometry.CHUNK", 50)
    features = clouds(items=7, dim=31)[0].float() + 100
    exact = features.double()
    expected = (exact[:, None] - exact).square().sum(-1)
    torch.testing.assert_close(squared_distances(features), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dim", [3, 8, 50])
def test_spectrum_equals_numpys_singular_values(dim: int) -> None:
    generator = generator_for(0, "spectrum", dim)
    labels = torch.arange(5).repeat_interleave(torch.tensor([6, 9, 4, 7, 12]))
    scales = torch.logspace(0, -1, dim, dtype=torch.float64)
    features = 5 + torch.randn(len(labels), dim, generator=generator, dtype=torch.float64) * scales + labels[:, None]
    found, expected = class_spectrum(features, labels), slow.spectra(features.numpy(), labels.tolist())
    longest = len(found.fractions)
    padded = np.stack([np.pad(values, (0, longest - len(values))) for values in expected])
    squares = padded**2
    fractions = squares / squares.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.singular_values.numpy(), padded.mean(axis=0), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.fractions.numpy(), fractions.mean(axis=0), rtol=1e-9, atol=1e-12)
    assert found.largest_fraction == pytest.approx(fractions[:, 0].mean())
    assert found.effective_rank == pytest.approx(np.mean([slow.effective_rank(values) for values in expected]))
    assert found.directions == pytest.approx(np.mean([slow.directions(values) for values in expected]))
    assert (found.classes, found.left_out) == (5, 0)
    centered = features.numpy() - features.numpy().mean(axis=0)
    sizes = np.bincount(labels.numpy())
    assert found.within == pytest.approx((squares.sum(axis=1) * sizes).sum() / (centered**2).sum())


def test_a_class_on_a_line_has_one_direction() -> None:
    line = torch.linspace(-1, 1, 10)[:, None] * torch.tensor([[3.0, 4.0, 0.0]])
    found = class_spectrum(torch.cat([line, line + 7]), torch.arange(2).repeat_interleave(10))
    assert found.largest_fraction == pytest.approx(1)
    assert found.effective_rank == pytest.approx(1)
    assert found.directions == 1


def test_equal_variance_everywhere_has_as_many_directions_as_there_are() -> None:
    corners = torch.cat([torch.eye(4), -torch.eye(4)])
    found = class_spectrum(corners, torch.zeros(8, dtype=torch.int64))
    assert found.effective_rank == pytest.approx(4)
    assert found.directions == 4
    torch.testing.assert_close(found.fractions[:4], torch.full((4,), 0.25, dtype=torch.float64))


def test_spectrum_is_invariant_to_scale_and_offset_except_the_singular_values() -> None:
    features, labels = torch.randn(24, 9, generator=generator_for(0), dtype=torch.float64), torch.arange(24) % 3
    one, other = class_spectrum(features, labels), class_spectrum(10 * features - 3, labels)
    assert (other.effective_rank, other.within) == pytest.approx((one.effective_rank, one.within))
    torch.testing.assert_close(other.singular_values, 10 * one.singular_values)


def test_classes_without_variance_are_left_out_and_counted() -> None:
    features = torch.randn(8, 5, generator=generator_for(1)) + 100
    features[3:5] = features[3]
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 3, 3])  # 1: one image twice; 2: a single one
    found = class_spectrum(features, labels)
    assert (found.classes, found.left_out) == (2, 2)
    assert torch.isfinite(found.fractions).all()


@pytest.mark.parametrize(
    "points", [torch.zeros(3, 4), torch.full((3, 4), 3.3), torch.tensor([[1.0, 0.1, 7.7, -2.0]]) * torch.arange(3)[:, None]]
)
def test_collapsed_classes_have_no_direction(points: torch.Tensor) -> None:
    found = class_spectrum(points.repeat_interleave(5, dim=0), torch.arange(3).repeat_interleave(5))
    assert (found.classes, found.left_out) == (0, 3)
    assert (found.effective_rank, found.largest_fraction, found.directions, found.within) == (0, 0, 0, 0)
    assert found.fractions.tolist() == found.singular_values.tolist() == [0]


@pytest.mark.parametrize(("chunk", "pieces"), [(3, 10), (16, 3), (2**24, 1)])
def test_chunks_are_the_features_in_float64(monkeypatch: pytest.MonkeyPatch, chunk: int, pieces: int) -> None:
    monkeypatch.setattr(geometry, "CHUNK", chunk)
    features = torch.randn(4, 10, generator=generator_for(0))
    found = list(double_chunks(features))
    assert len(found) == pieces
    assert torch.equal(torch.cat(found, dim=1), features.double())

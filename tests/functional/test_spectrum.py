import numpy as np
import pytest
import torch

from s2m2.functional.spectrum import class_spectrum
from s2m2.seeding import generator_for
from tests.reference import representation as slow


@pytest.mark.parametrize("dim", [3, 8, 50])
def test_figures_equal_those_of_numpys_decomposition(dim: int) -> None:
    generator = generator_for(0, "spectrum", dim)
    labels = torch.arange(5).repeat_interleave(torch.tensor([6, 9, 4, 7, 12]))
    scales = torch.logspace(0, -1, dim, dtype=torch.float64)
    features = 5 + torch.randn(len(labels), dim, generator=generator, dtype=torch.float64) * scales + labels[:, None]
    found, expected = class_spectrum(features, labels), slow.spectra(features.numpy(), labels.tolist())
    longest = len(found.shares)
    padded = np.stack([np.pad(values, (0, longest - len(values))) for values in expected])
    squares = padded**2
    shares = squares / squares.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.singular_values.numpy(), padded.mean(axis=0), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.shares.numpy(), shares.mean(axis=0), rtol=1e-9, atol=1e-12)
    assert found.largest_share == pytest.approx(shares[:, 0].mean())
    assert found.effective_rank == pytest.approx(np.mean([slow.effective_rank(values) for values in expected]))
    assert found.directions == pytest.approx(np.mean([slow.directions(values) for values in expected]))
    assert (found.classes, found.left_out) == (5, 0)
    centerd = features.numpy() - features.numpy().mean(axis=0)
    sizes = np.bincount(labels.numpy())
    assert found.within == pytest.approx((squares.sum(axis=1) * sizes).sum() / (centerd**2).sum())


def test_a_class_on_a_line_has_one_direction() -> None:
    line = torch.linspace(-1, 1, 10)[:, None] * torch.tensor([[3.0, 4.0, 0.0]])
    found = class_spectrum(torch.cat([line, line + 7]), torch.arange(2).repeat_interleave(10))
    assert found.largest_share == pytest.approx(1)
    assert found.effective_rank == pytest.approx(1)
    assert found.directions == 1


def test_equal_variance_everywhere_has_as_many_directions_as_there_are() -> None:
    corners = torch.cat([torch.eye(4), -torch.eye(4)])
    found = class_spectrum(corners, torch.zeros(8, dtype=torch.int64))
    assert found.effective_rank == pytest.approx(4)
    assert found.directions == 4
    torch.testing.assert_close(found.shares[:4], torch.full((4,), 0.25, dtype=torch.float64))


def test_figures_do_not_depend_on_scale_and_place_but_the_singular_values_do() -> None:
    features, labels = torch.randn(24, 9, generator=generator_for(0), dtype=torch.float64), torch.arange(24) % 3
    one, other = class_spectrum(features, labels), class_spectrum(10 * features - 3, labels)
    assert (other.effective_rank, other.within) == pytest.approx((one.effective_rank, one.within))
    torch.testing.assert_close(other.singular_values, 10 * one.singular_values)


def test_classes_that_are_points_are_left_out_and_counted() -> None:
    features = torch.randn(8, 5, generator=generator_for(1)) + 100
    features[3:5] = features[3]
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 3, 3])  # 1: one image twice; 2: a single one
    found = class_spectrum(features, labels)
    assert (found.classes, found.left_out) == (2, 2)
    assert torch.isfinite(found.shares).all()


@pytest.mark.parametrize(
    "points", [torch.zeros(3, 4), torch.full((3, 4), 3.3), torch.tensor([[1.0, 0.1, 7.7, -2.0]]) * torch.arange(3)[:, None]]
)
def test_classes_that_have_all_collapsed_vary_in_no_direction(points: torch.Tensor) -> None:
    found = class_spectrum(points.repeat_interleave(5, dim=0), torch.arange(3).repeat_interleave(5))
    assert (found.classes, found.left_out) == (0, 3)
    assert (found.effective_rank, found.largest_share, found.directions, found.within) == (0, 0, 0, 0)
    assert found.shares.tolist() == found.singular_values.tolist() == [0]

import math

import pytest
import torch

from s2m2.functional.exemplar import exemplar_loss
from s2m2.seeding import generator_for
from tests.reference import exemplar as reference
from tests.reference.comparison import assert_twins_agree


def copies_of_images(copies: int = 4, images: int = 5, dim: int = 6) -> torch.Tensor:
    """Clusters that overlap, so that the hardest pairs are of all kinds."""
    generator = generator_for(0, "exemplar", copies, images)
    centers = torch.randn(1, images, dim, generator=generator, dtype=torch.float64)
    return centers + 0.7 * torch.randn(copies, images, dim, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("copies", "images"), [(2, 2), (4, 5), (3, 7)])
def test_the_loss_equals_a_triple_loop_in_value_and_gradient(copies: int, images: int) -> None:
    assert_twins_agree(exemplar_loss, reference.exemplar_loss, copies_of_images(copies, images))


def test_two_tight_clusters_give_the_closed_form_of_their_distance() -> None:
    features = torch.tensor([[0.0, 0.0], [3.0, 4.0]]).expand(4, 2, 2)
    assert exemplar_loss(features).item() == pytest.approx(math.log1p(math.exp(-5.0)), rel=1e-6)


def test_the_loss_falls_as_copies_draw_together_and_as_images_draw_apart() -> None:
    features = copies_of_images()
    centers = features.mean(0, keepdim=True)
    loss = exemplar_loss(features)
    assert exemplar_loss(centers + 0.5 * (features - centers)) < loss
    assert exemplar_loss(features + 2 * centers) < loss


def test_order_of_images_order_of_copies_and_place_in_space_do_not_matter() -> None:
    features = copies_of_images()
    loss = exemplar_loss(features)
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=generator_for(1), dtype=torch.float64)).Q
    for changed in (features.flip(1), features.flip(0), features + 3.0, features @ rotation):
        torch.testing.assert_close(exemplar_loss(changed), loss)


def test_equal_copies_have_a_finite_gradient() -> None:
    features = torch.ones(4, 3, 6, requires_grad=True)
    exemplar_loss(features).backward()
    assert torch.equal(features.grad, torch.zeros_like(features))


def test_very_large_features_give_a_finite_loss_and_gradient() -> None:
    features = (copies_of_images().float() * 1e6).requires_grad_()
    loss = exemplar_loss(features)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(features.grad).all()


def test_small_distances_far_from_the_origin_survive_float32() -> None:
    features = (copies_of_images() * 0.1 + 100).float()
    torch.testing.assert_close(exemplar_loss(features).double(), exemplar_loss(features.double()), rtol=1e-5, atol=0)


def test_the_loss_is_float32_under_autocast() -> None:
    features = copies_of_images().bfloat16()
    expected = exemplar_loss(features.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = exemplar_loss(features)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, expected)


def test_a_single_image_is_refused() -> None:
    with pytest.raises(ValueError, match="two images"):
        exemplar_loss(torch.zeros(4, 1, 6))

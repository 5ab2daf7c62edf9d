import pytest
import torch
from torch import Tensor, nn

from s2m2.models import CosineHead, LinearHead, initialize
from s2m2.random import generator_for
from tests.reference.comparison import assert_twins_agree
from tests.reference.cosine_head import cosine_logits

BATCH, DIM, CLASSES, SCALE = 3, 7, 5, 2.0


def features() -> Tensor:
    return torch.randn(BATCH, DIM, generator=generator_for(0, "features"))


def head() -> CosineHead:
    """A head whose norms are not those of its directions."""
    made = CosineHead(DIM, CLASSES, SCALE)
    with torch.no_grad():
        made.norm.copy_(torch.linspace(0.2, 3.0, CLASSES))
    return made


def logits(inputs: Tensor, direction: Tensor, norm: Tensor) -> Tensor:
    return torch.func.functional_call(head(), {"direction": direction, "norm": norm}, (inputs,))


def test_cosine_logits_equal_a_loop_in_value_and_gradient() -> None:
    made = head()
    assert_twins_agree(logits, lambda *inputs: cosine_logits(*inputs, SCALE), features(), made.direction, made.norm)


def test_cosine_logits_equal_torchs_weight_normalization_in_value_and_gradient() -> None:
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(DIM, CLASSES, bias=False).double(), dim=0)

    def by_torch(inputs: Tensor, direction: Tensor, norm: Tensor) -> Tensor:
        unit = inputs / (inputs.norm(dim=1, keepdim=True) + 1e-5)
        weights = {"parametrizations.weight.original0": norm[:, None], "parametrizations.weight.original1": direction}
        return SCALE * torch.func.functional_call(layer, weights, (unit,))

    made = head()
    assert_twins_agree(logits, by_torch, features(), made.direction, made.norm)


def test_lengths_of_features_and_directions_do_not_matter() -> None:
    made = head()
    expected = made(features())
    torch.testing.assert_close(made(1000 * features()), expected, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        made.direction.mul_(torch.linspace(0.1, 9, CLASSES)[:, None])
    torch.testing.assert_close(made(features()), expected)


def test_a_feature_along_a_direction_gets_scale_times_its_norm() -> None:
    made = head()
    result = made(100 * made.direction.detach()).diagonal()
    torch.testing.assert_close(result, SCALE * made.norm, rtol=1e-5, atol=0)


def test_a_feature_of_zero_gives_zero_logits_and_finite_gradients() -> None:
    inputs = torch.zeros(1, DIM, requires_grad=True)
    result = head()(inputs)
    result.sum().backward()
    assert torch.equal(result, torch.zeros(1, CLASSES))
    assert torch.isfinite(inputs.grad).all()


def test_cosine_logits_are_float32_under_autocast() -> None:
    inputs = features().bfloat16()
    expected = head()(inputs.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = head()(inputs)
    assert result.dtype == torch.float32
    assert torch.equal(result, expected)


def test_norms_start_at_the_lengths_of_the_directions() -> None:
    made = CosineHead(DIM, CLASSES, SCALE)
    torch.testing.assert_close(made.norm.detach(), made.direction.detach().norm(dim=1))


def test_the_linear_head_is_an_affine_map() -> None:
    made, layer = LinearHead(DIM, CLASSES), nn.Linear(DIM, CLASSES)
    with torch.no_grad():
        made.bias.copy_(torch.arange(CLASSES))
    layer.load_state_dict(made.state_dict())
    assert torch.equal(made(features()), layer(features()))


@pytest.mark.parametrize("build", [lambda: CosineHead(DIM, CLASSES, SCALE), lambda: LinearHead(DIM, CLASSES)], ids=["cosine", "linear"])
def test_weights_follow_from_the_generator_alone_and_leave_the_global_one_untouched(build) -> None:
    before = torch.random.get_rng_state()
    one, same, other = build(), build(), build()
    for made, seed in ((one, 1), (same, 1), (other, 2)):
        for parameter in made.parameters():
            nn.init.constant_(parameter, torch.nan)
        initialize(made, generator_for(seed, "head"))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(one(features()), same(features()))
    assert not torch.equal(one(features()), other(features()))

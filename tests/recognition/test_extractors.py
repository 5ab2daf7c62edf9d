"""Backbones of `ImageClassifier` and their preprocessing."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from s2m2.data.augment import evaluation_view
from s2m2.errors import InputError
from s2m2.recipe import DataConfig
from s2m2.recognition.extractors import EMBEDDED, SquareRoot, extractor_for, folded
from s2m2.recognition.preprocessing import Preprocessing, square
from s2m2.recognition.read_ahead import feature_batches
from s2m2.recognition.reference import quantize, read_packaged
from tests.recognition.made_up import color_folder, color_model, paint


@pytest.fixture(scope="module")
def embedded() -> object:
    return extractor_for(EMBEDDED)


def test_the_embedded_backbone_needs_no_download_and_has_its_features(embedded: object) -> None:
    features = embedded(list(torch.zeros(2, 3, 224, 224)))  # type: ignore[operator]
    assert features.shape == (2, 1280)
    assert (features >= 0).all()
    torch.testing.assert_close(features[0], features[1], rtol=1e-5, atol=1e-5)


def test_the_packaged_reference_belongs_to_the_embedded_backbone(embedded: object) -> None:
    from importlib.resources import files

    from safetensors import safe_open

    path = files("s2m2.recognition").joinpath("reference/efficientnet_lite0.safetensors")
    with safe_open(str(path), "pt") as stored:
        assert stored.metadata()["backbone"] == embedded.fingerprint  # type: ignore[attr-defined]
    reference = read_packaged(EMBEDDED)
    assert reference.features.shape == (3280, 1280)
    assert len(reference.domains) == 164


def test_quantized_features_are_within_half_a_level() -> None:
    features = torch.rand(50, 7) * torch.tensor([1.0, 2, 3, 4, 5, 0, 9])
    stored = quantize(features)
    assert ((stored["features"].float() * stored["scales"] - features).abs() <= stored["scales"] / 2 + 1e-6).all()


def test_preprocessing_equals_the_evaluation_view_of_a_run() -> None:
    config = DataConfig(image_size=32, resize_ratio=1.15)
    ours = Preprocessing(
        fit="squash", resized=config.resized_size, size=config.size, mean=config.normalization[0], std=config.normalization[1]
    )
    for shape in ((40, 40), (36, 60), (90, 31)):
        image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
        torch.testing.assert_close(ours(image)[None], evaluation_view(torch.from_numpy(image)[None], config), rtol=0, atol=2e-5)


def test_square_takes_the_center_of_an_image() -> None:
    image = np.arange(4 * 7 * 3, dtype=np.uint8).reshape(4, 7, 3)
    np.testing.assert_array_equal(square(image, "crop"), image[:, 1:5])
    np.testing.assert_array_equal(square(image.transpose(1, 0, 2), "crop"), image.transpose(1, 0, 2)[1:5])
    assert square(image, "squash") is image


def test_folding_normalization_changes_rounding_alone() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1), nn.BatchNorm2d(4), nn.Flatten())
    for _ in range(3):
        network(torch.randn(8, 3, 16, 16) * 3 + 1)
    network.eval()
    fast = folded(network, 16)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fast.modules())
    images = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(fast(images), network(images), rtol=1e-4, atol=1e-5)


def test_a_network_that_cannot_be_folded_stays_as_it_is() -> None:
    class Swapped(nn.Module):
        """Registers a convolution and a normalization that it uses the other way round."""

        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
            self.norm.running_mean += 3
            self.norm.running_var *= 4

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.conv(self.norm(images)).flatten(1)

    network = Swapped().eval()
    assert folded(network, 8) is network


def test_square_roots_of_negative_features_are_zero() -> None:
    assert SquareRoot()(torch.tensor([[-1.0, 4.0]])).tolist() == [[0.0, 2.0]]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("efficientnet_lite", "did you mean efficientnet_lite0"),
        ("timm:resnet1", "did you mean resnet"),
        ("timm:resnet10t:/no/such.safetensors", "cannot be read"),
        ("/no/such/run", "is unknown"),
    ],
)
def test_an_unknown_backbone_is_named(name: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        extractor_for(name)


def test_a_model_of_timm_brings_its_own_preprocessing(tmp_path: Path) -> None:
    import timm
    from safetensors.torch import save_file

    model = timm.create_model("test_vit", num_classes=3)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    extractor = extractor_for(f"timm:test_vit:{tmp_path / 'w.safetensors'}")
    config = model.pretrained_cfg
    assert extractor.preprocessing.mean == tuple(config["mean"])
    assert extractor.preprocessing.size == config["input_size"][-1]
    size = extractor.preprocessing.size
    assert extractor([torch.zeros(3, size, size)]).shape == (1, extractor.dim)


def test_batches_come_in_order_whatever_their_size_and_threads(tmp_path: Path) -> None:
    root = color_folder(tmp_path / "colors")
    paths = sorted(root.rglob("*.png"))
    (tmp_path / "bad.png").write_bytes(b"")
    paths.insert(3, tmp_path / "bad.png")
    extractor = color_model().extractor()
    whole = list(feature_batches(paths, extractor, batch_size=100, threads=1))
    pieces = list(feature_batches(iter(paths), extractor, batch_size=2, threads=3))
    assert [image.name for batch in pieces for image in batch.images] == [str(path) for path in paths]
    torch.testing.assert_close(torch.cat([batch.features for batch in pieces]), whole[0].features)
    assert whole[0].readable == [position for position in range(13) if position != 3]
    assert "bad.png" in whole[0].images[3].reason


def test_a_long_list_is_read_as_it_is_needed() -> None:
    given = 0

    def endless() -> object:
        nonlocal given
        while True:
            given += 1
            yield paint("red", given)

    batches = feature_batches(endless(), color_model().extractor(), batch_size=4, threads=2)  # type: ignore[arg-type]
    next(batches)
    next(batches)
    batches.close()
    assert given < 40

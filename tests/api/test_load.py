"""`s2m2.load`: the trained backbone of a run or an export, and equal features for equal images in any form."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import s2m2
from s2m2.cli import main
from s2m2.recipe import DataConfig, ModelConfig, Recipe
from s2m2.runs.directory import RunDirectory
from s2m2.runs.loading import load
from tests.evaluation.random_run import random_run

pytestmark = pytest.mark.usefixtures("one_thread")
UINT8 = np.random.default_rng(0).integers(256, size=(5, 40, 40, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def run(glyph_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    recipe = Recipe(data=DataConfig(path=str(glyph_folder), image_size=28, resize_ratio=1.15), model=ModelConfig(width=8))
    return random_run(tmp_path_factory.mktemp("runs") / "run", recipe, "pretrain", "finetune")


@pytest.fixture(scope="module")
def backbone(run: RunDirectory) -> s2m2.LoadedBackbone:
    return s2m2.load(run.path)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("images")
    for number, image in enumerate(UINT8):
        Image.fromarray(image).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


def channels_first(values: Any) -> Any:
    return values.transpose(0, 3, 1, 2) if isinstance(values, np.ndarray) else values.permute(0, 3, 1, 2)


FORMS: dict[str, Callable[[], Any]] = {
    "uint8 NCHW": lambda: channels_first(UINT8),
    "uint8 torch NHWC": lambda: torch.from_numpy(UINT8),
    "uint8 torch NCHW": lambda: channels_first(torch.from_numpy(UINT8)),
    "float32": lambda: (UINT8 / 255).astype(np.float32),
    "float64 NCHW": lambda: channels_first(UINT8 / 255),
    "float32 torch NCHW": lambda: channels_first(torch.from_numpy(UINT8).float() / 255),
    "float16": lambda: (UINT8 / 255).astype(np.float16),
    "list of arrays": lambda: list(UINT8),
    "list of tensors NCHW": lambda: list(channels_first(torch.from_numpy(UINT8))),
    "iterator": lambda: iter(UINT8),
    "Pillow": lambda: [Image.fromarray(image) for image in UINT8],
    "mixed": lambda: (UINT8[0], Image.fromarray(UINT8[1]), channels_first(torch.from_numpy(UINT8))[2], UINT8[3] / 255, UINT8[4]),
}


@pytest.mark.parametrize("form", FORMS)
def test_equal_images_give_equal_features_in_every_form(backbone: s2m2.LoadedBackbone, form: str) -> None:
    images = FORMS[form]()
    tensors = isinstance(images, torch.Tensor) or form.startswith("list of tensors")
    features = backbone.features(images)
    assert isinstance(features, torch.Tensor if tensors else np.ndarray)
    assert str(features.dtype).removeprefix("torch.") == "float32"
    np.testing.assert_array_equal(np.asarray(features), backbone.features(UINT8))


def test_features_are_those_of_the_evaluation(backbone: s2m2.LoadedBackbone, run: RunDirectory) -> None:
    expected = load(run.path).features(torch.from_numpy(UINT8))
    np.testing.assert_array_equal(backbone.features(UINT8), expected)
    np.testing.assert_allclose(backbone.features(UINT8, batch_size=2, device="cpu"), expected, atol=1e-5)


def test_files_are_images(backbone: s2m2.LoadedBackbone, files: list[Path]) -> None:
    expected = backbone.features(UINT8)
    np.testing.assert_array_equal(backbone.features(files), expected)
    np.testing.assert_allclose(backbone.features(str(files[2])), expected[2:3], atol=1e-5)


def test_one_image_gives_one_row(backbone: s2m2.LoadedBackbone) -> None:
    expected = backbone.features(UINT8)[1:2]
    for image in (UINT8[1], UINT8[1].transpose(2, 0, 1), Image.fromarray(UINT8[1]), [UINT8[1]]):
        assert backbone.features(image).shape == (1, backbone.feature_dim)
        np.testing.assert_allclose(backbone.features(image), expected, atol=1e-5)


def test_images_of_several_sizes_keep_their_order(backbone: s2m2.LoadedBackbone) -> None:
    sizes = [(40, 40), (31, 90), (40, 40), (200, 60), (31, 90)]
    images = [np.random.default_rng(height).integers(256, size=(height, width, 3), dtype=np.uint8) for height, width in sizes]
    alone = np.concatenate([backbone.features(image) for image in images])
    np.testing.assert_allclose(backbone.features(images, batch_size=3), alone, atol=1e-5)
    np.testing.assert_allclose(backbone.features([Image.fromarray(image) for image in images]), alone, atol=1e-5)


def test_an_ambiguous_shape_is_channels_last_in_numpy_and_first_in_torch(backbone: s2m2.LoadedBackbone) -> None:
    image = np.random.default_rng(0).integers(256, size=(3, 40, 3), dtype=np.uint8)
    last = backbone.features(Image.fromarray(image))
    np.testing.assert_array_equal(backbone.features(image), last)
    assert not np.array_equal(backbone.features(torch.from_numpy(image)), last)
    np.testing.assert_array_equal(backbone.features(torch.from_numpy(image).permute(2, 0, 1)), backbone.features(image.transpose(2, 0, 1)))


def test_pillow_images_of_other_modes_are_read_as_files_are(backbone: s2m2.LoadedBackbone, tmp_path: Path) -> None:
    rgb = Image.fromarray(UINT8[0])
    for mode, ending in (("L", "png"), ("RGBA", "png"), ("P", "png"), ("CMYK", "tif"), ("1", "png")):
        rgb.convert(mode).save(tmp_path / f"image.{ending}")
        np.testing.assert_array_equal(backbone.features(rgb.convert(mode)), backbone.features(tmp_path / f"image.{ending}"), err_msg=mode)
    see_through = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    np.testing.assert_array_equal(backbone.features(see_through), backbone.features(np.full((40, 40, 3), 255, np.uint8)))


BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "floats to 255": (lambda _: UINT8.astype(np.float32), r"images\[0\] has floats from .* must be from 0 to 1; divide them by 255"),
    "normalized floats": (lambda _: UINT8 / 100 - 1, "pass images before normalization"),
    "not a number": (lambda _: np.full((2, 8, 8, 3), np.nan), r"images\[0\] has values that are not finite"),
    "one of several": (lambda _: [UINT8[0], UINT8[1] / 1.0], r"images\[1\] has floats"),
    "int64": (lambda _: UINT8.astype(np.int64), "type int64; pass uint8 from 0 to 255, or floats from 0 to 1"),
    "bool": (lambda _: UINT8 > 0, "type bool"),
    "four channels": (lambda _: np.zeros((2, 8, 8, 4), np.uint8), "shape 2 x 8 x 8 x 4, without the three channels of RGB"),
    "gray": (lambda _: np.zeros((8, 8), np.uint8), "shape 8 x 8"),
    "five axes": (lambda _: torch.zeros(1, 1, 3, 8, 8), "shape 1 x 1 x 3 x 8 x 8"),
    "batches in a list": (lambda _: [UINT8], r"images\[0\] has shape 5 x 40 x 40 x 3"),
    "no image": (lambda _: [], "images is empty"),
    "empty array": (lambda _: np.zeros((0, 8, 8, 3), np.uint8), "images is empty: its shape is 0 x 8 x 8 x 3"),
    "a list of numbers": (lambda _: [1, 2], r"images\[0\] is of type int"),
    "a mapping": (lambda _: {"a": UINT8}, "images is of type dict"),
    "bytes": (lambda _: b"abc", "images is of type bytes"),
    "a missing file": (lambda folder: [folder / "gone.png"], r"there is no file .*gone\.png"),
    "a folder": (lambda folder: folder, "there is no file"),
    "a text file": (lambda folder: folder / "text.png", r"cannot read image .*text\.png: no image"),
}


@pytest.mark.parametrize("case", BAD)
def test_unusable_images_are_named(backbone: s2m2.LoadedBackbone, tmp_path: Path, case: str) -> None:
    (tmp_path / "text.png").write_text("hello")
    make, message = BAD[case]
    with pytest.raises(s2m2.InputError, match=message) as caught:
        backbone.features(make(tmp_path))
    assert "\n" not in str(caught.value)


WRONG_ARGUMENTS: list[tuple[Callable[[s2m2.LoadedBackbone], Any], str]] = [
    (lambda backbone: backbone.features(UINT8, batch_size=2.5), "batch_size is 2.5, but must be a whole number, 1 or more"),
    (lambda backbone: backbone.features(UINT8, batch_size=None), "batch_size is None"),
    (lambda backbone: backbone.features(UINT8, device="cud"), "device is 'cud', but must be a device that this machine has"),
    (lambda backbone: backbone.features(None), "images is of type NoneType"),
    (lambda backbone: backbone(UINT8), 'images is ndarray, but must be normalized, a tensor "image 3 size size"'),
    (lambda backbone: backbone(torch.from_numpy(UINT8)), r"images is torch.uint8 of shape \(5, 40, 40, 3\)"),
    (lambda backbone: backbone(torch.zeros(3, 28, 28)), r"images is torch.float32 of shape \(3, 28, 28\)"),
]


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize(("use", "message"), WRONG_ARGUMENTS)
def test_wrong_arguments_are_named(backbone: s2m2.LoadedBackbone, use: Callable[[s2m2.LoadedBackbone], Any], message: str) -> None:
    with pytest.raises(s2m2.InputError, match=message):
        use(backbone)


def test_it_is_a_module_with_its_preprocessing(backbone: s2m2.LoadedBackbone, run: RunDirectory, glyph_folder: Path) -> None:
    assert isinstance(backbone, torch.nn.Module)
    assert (backbone.training, backbone.image_size, backbone.stage) == (False, 28, "finetune")
    described = json.loads((glyph_folder / "dataset.json").read_text())
    assert backbone.classes == tuple(described["class_names"][number] for number in described["splits"]["base"])
    images = backbone.prepare(list(UINT8))
    assert images.shape == (5, 3, 28, 28)
    with torch.inference_mode():
        features = backbone.features(UINT8)
        np.testing.assert_array_equal(backbone(images), features)
    tensors = backbone.features(torch.from_numpy(UINT8))
    (tensors * torch.ones(1, requires_grad=True)).sum().backward()  # usable in a loop of one's own
    backbone.train()
    try:
        np.testing.assert_array_equal(backbone.features(UINT8), features)
        assert backbone.backbone.training
    finally:
        backbone.eval()
    with pytest.raises(s2m2.InputError, match="batch_size is 0"):
        backbone.features(UINT8, batch_size=0)


def test_stages_differ_and_an_export_does_not(run: RunDirectory, tmp_path: Path) -> None:
    assert main(["export", "--run", str(run.path), "--output", str(tmp_path / "export")]) == 0
    exported, loaded = s2m2.load(tmp_path / "export"), s2m2.load(str(run.path), stage="finetune")
    np.testing.assert_array_equal(exported.features(UINT8), loaded.features(UINT8))
    assert exported.classes == loaded.classes
    assert not np.array_equal(s2m2.load(run.path, stage="pretrain").features(UINT8), loaded.features(UINT8))


def test_a_run_without_such_weights_is_named(run: RunDirectory, tmp_path: Path) -> None:
    cases: list[tuple[Path, str | None, str]] = [
        (tmp_path / "nothing", None, "there is no run directory or export .*nothing"),
        (tmp_path, None, "is no run directory: it has no recipe.yaml"),
        (run.path, "evaluate", "stage is 'evaluate', but must be pretrain or finetune"),
        (random_run(tmp_path / "half", Recipe(data=DataConfig(image_size=28)), "pretrain").path, "finetune", "has not finished the stage"),
    ]
    for path, stage, message in cases:
        with pytest.raises(s2m2.InputError, match=message):
            s2m2.load(path, stage=stage)

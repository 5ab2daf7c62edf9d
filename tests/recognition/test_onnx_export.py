"""`export_onnx`: the file's probabilities are Python's for images of every shape, with every classifier; what cannot be exported."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.exceptions import NotFittedError
from sklearn.naive_bayes import GaussianNB
from torch import Tensor, nn

import s2m2
from s2m2.classifiers.base import FewShotTasks, InductiveClassifier
from s2m2.classifiers.nearest_mean import FittedMeans, NearestMean
from s2m2.errors import InputError
from s2m2.recipe import DataConfig, ModelConfig, Recipe
from s2m2.recognition import ImageClassifier, onnx_export
from s2m2.recognition.calibrating import familiarity
from s2m2.recognition.extractors import Extractor
from s2m2.recognition.preprocessing import Preprocessing
from tests.data.test_real_images import class_of, members, needs
from tests.evaluation.random_run import random_run

SCRIPT = Path(s2m2.__file__).parents[1] / "docs" / "predict_onnx.py"
CLASSIFIERS = ("cosine", "cosine_centroid", "cosine_converged", "nearest_mean", "logistic", "ridge", "svm")
SHAPES = ((1, 1), (1, 90), (90, 1), (3, 400), (31, 30), (168, 168), (168, 300), (169, 167), (336, 336), (1100, 700), (500, 2000))


WARM, COLD = np.array([1.0, 0.6, 0.2]), np.array([0.3, 0.5, 1.0])


def image(generator: np.random.Generator, shape: tuple[int, int], coldness: float) -> np.ndarray:
    """Noise about a color between warm and cold."""
    return (generator.integers(0, 256, (*shape, 3)) * (WARM + coldness * (COLD - WARM))).astype(np.uint8)


def images(number: int, shapes: tuple[tuple[int, int], ...], seed: int = 0) -> list[np.ndarray]:
    """Of all colors, in the shapes in turn."""
    generator = np.random.default_rng(seed)
    return [image(generator, shapes[index % len(shapes)], generator.uniform()) for index in range(number)]


def fitted(model: ImageClassifier, each: int = 12) -> ImageClassifier:
    """Fitted to classes that overlap, so that probabilities are not just 0 and 1."""
    generator = np.random.default_rng(0)
    ranges = ((0.0, 0.7), (0.3, 1.0)) * each
    return model.fit([image(generator, (40, 60), generator.uniform(*both)) for both in ranges], ["warm", "cold"] * each)


@pytest.fixture(scope="module")
def timm_model(tmp_path_factory: pytest.TempPathFactory) -> ImageClassifier:
    """A model with a real, small network: 168 pixels, of which it sees the center square of 160."""
    weights = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_file(timm.create_model("test_efficientnet", num_classes=0).state_dict(), weights)
    return fitted(ImageClassifier(f"timm:test_efficientnet:{weights}", unknown=0.5))


@pytest.fixture(scope="module")
def timm_file(timm_model: ImageClassifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("exported") / "tiny.onnx"
    timm_model.export_onnx(file)
    return file


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.linspace(-1, 1, 36).reshape(12, 3, 1, 1).sin())

    def forward(self, values: Tensor) -> Tensor:
        return nn.functional.conv2d(values, self.weights).relu().mean((2, 3))


class Choosing(Network):
    """Computes differently for dark images."""

    def forward(self, values: Tensor) -> Tensor:
        return super().forward(-values if values.mean() < 0 else values)


class Sampling(Network):
    """Different at each call."""

    def forward(self, values: Tensor) -> Tensor:
        return super().forward(values) * torch.rand(1, 12)


@pytest.fixture
def squashing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ImageClassifier]:
    """A model with a network of one layer that sees all of an image, squeezed to 24 pixels."""

    def build(classifier: Any = "cosine", network: nn.Module | None = None) -> ImageClassifier:
        preprocessing = Preprocessing(fit="squash", resized=24, size=21, mean=(0.3, 0.25, 0.35), std=(0.2, 0.1, 0.3))
        extractor = Extractor(
            name="tiny", network=network or Network(), preprocessing=preprocessing, dim=12, fingerprint="", seen="nothing"
        )
        monkeypatch.setattr("s2m2.recognition.classifier.extractor_for", lambda name: extractor)
        return fitted(ImageClassifier("tiny", classifier))

    return build


def answers(file: Path, pixels: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and familiarities."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    probabilities, familiarities = zip(*(session.run(None, {"image": one}) for one in pixels), strict=True)
    return np.stack(probabilities), np.stack(familiarities)


def assert_agree(file: Path, model: ImageClassifier, pixels: list[np.ndarray]) -> None:
    probabilities, familiarities = answers(file, pixels)
    queries = model.query_scores(torch.cat([batch.features for batch in model.feature_batches(pixels)]))
    expected = familiarity(queries, model.calibration_.temperature).numpy()
    assert (probabilities.dtype, familiarities.dtype) == (np.float32, np.float32)
    assert len(np.unique(probabilities[:, 0].round(3))) >= 8
    np.testing.assert_allclose(probabilities, model.predict_proba(pixels), rtol=0, atol=1e-4)
    np.testing.assert_allclose(familiarities, expected, rtol=1e-3, atol=1e-3)


def test_probabilities_are_those_of_python_for_images_of_every_shape(timm_model: ImageClassifier, timm_file: Path) -> None:
    generator = np.random.default_rng(1)
    shapes = (*SHAPES, *((int(high), int(wide)) for high, wide in generator.integers(1, 400, (100 - len(SHAPES), 2))))
    assert_agree(timm_file, timm_model, images(100, shapes, seed=2))


def test_the_only_input_is_an_image_of_any_size(timm_file: Path) -> None:
    session = onnxruntime.InferenceSession(timm_file)
    (given,), outputs = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, given.shape) == ("image", "tensor(uint8)", ["height", "width", 3])
    assert [(output.name, output.type, output.shape) for output in outputs] == [
        ("probabilities", "tensor(float)", [2]),
        ("familiarity", "tensor(float)", []),
    ]


def test_metadata_are_those_of_the_model(timm_model: ImageClassifier, timm_file: Path) -> None:
    about = onnxruntime.InferenceSession(timm_file).get_modelmeta().custom_metadata_map
    calibration = timm_model.calibration_
    assert json.loads(about.pop("classes")) == ["cold", "warm"]
    assert about == {
        "temperature": repr(calibration.temperature),
        "unknown_threshold": repr(calibration.threshold(0.5)),
        "set_threshold_0.95": repr(calibration.set_threshold(0.95)),
        "resized": "168",
        "backbone": "timm:test_efficientnet:tiny.safetensors",
        "classifier": "cosine",
        "s2m2": s2m2.__version__,
    }
    probabilities = timm_model.predict_proba(images(6, SHAPES))
    least = float(about["set_threshold_0.95"])
    sets = [{name for name, one in zip(("cold", "warm"), row, strict=True) if one >= least or one == row.max()} for row in probabilities]
    assert sets == [set(names) for names in timm_model.sets(probabilities, 0.95)]


def test_equal_models_give_equal_files_without_folders_of_this_machine(squashing: Any, tmp_path: Path) -> None:
    for name in ("a.onnx", "b.onnx"):
        squashing().export_onnx(tmp_path / name)
    content = (tmp_path / "a.onnx").read_bytes()
    assert content == (tmp_path / "b.onnx").read_bytes()
    assert str(Path(s2m2.__file__).parent).encode() not in content
    assert b".py" not in content


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_every_inductive_classifier_is_exported(squashing: Any, tmp_path: Path, classifier: str) -> None:
    model = squashing(classifier)
    model.export_onnx(tmp_path / "new" / "model.onnx")
    assert_agree(tmp_path / "new" / "model.onnx", model, images(40, ((5, 24), (24, 24), (200, 30), (25, 23), (60, 300)), seed=3))


def test_a_run_becomes_a_file_that_names_no_folder(tmp_path: Path) -> None:
    recipe = Recipe(data=DataConfig(image_size=28, resize_ratio=1.15, path="secret"), model=ModelConfig(backbone="conv4", width=8))
    model = fitted(ImageClassifier(random_run(tmp_path / "hidden" / "mine", recipe, "pretrain").path))
    model.export_onnx(tmp_path / "run.onnx")
    assert_agree(tmp_path / "run.onnx", model, images(20, ((20, 28), (28, 28), (90, 50)), seed=5))
    about = onnxruntime.InferenceSession(tmp_path / "run.onnx").get_modelmeta().custom_metadata_map
    assert (about["backbone"], about["resized"]) == ("mine", str(recipe.data.resized_size))
    assert b"hidden" not in (tmp_path / "run.onnx").read_bytes()


def run_script(*arguments: str | Path) -> list[str]:
    """Lines of the script, in a process that has no torch."""
    code = "import runpy, sys; sys.modules['torch'] = None; del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-c", code, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=SCRIPT.anchor).stdout.splitlines()


def photos(folder: Path) -> list[Path]:
    """Images of both classes; stored upright and by EXIF orientation, large enough to be decoded at a fraction, with transparency."""
    ramp = np.linspace(0, 1, 60)[:, None, None] * np.array([255, 90, 20])
    large = Image.fromarray(np.broadcast_to(ramp, (60, 90, 3)).astype(np.uint8)).resize((900, 1200))
    rotated = Image.Exif()
    rotated[0x0112] = 6
    transparent = large.convert("RGBA")
    transparent.putalpha(Image.linear_gradient("L").resize(large.size))
    large.save(folder / "large.jpg")
    large.save(folder / "rotated.jpg", exif=rotated)
    large.convert("L").save(folder / "gray.png")
    transparent.save(folder / "transparent.png")
    for number, pixels in enumerate(images(6, ((50, 80), (90, 40)), seed=4)):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


def test_the_script_says_without_torch_what_python_says(timm_model: ImageClassifier, timm_file: Path, tmp_path: Path) -> None:
    files = photos(tmp_path)
    said = timm_model.answers(files)
    expected = [
        f"{file}: {label or 'none of these'} ({best:.1%})"
        for file, label, best in zip(files, said.labels(), said.probabilities.max(-1), strict=True)
    ]
    assert run_script(timm_file, *files) == expected
    assert None in said.labels()
    assert {"warm", "cold"} & {*said.labels()}
    upright, rotated = (said.probabilities[files.index(tmp_path / name)] for name in ("large.jpg", "rotated.jpg"))
    assert abs(upright - rotated).max() > 1e-3


@pytest.mark.slow
@needs("cub")
def test_the_embedded_backbone_on_photos_of_birds(tmp_path: Path) -> None:
    by_class: dict[str, list[Path]] = {}
    for archive, member in members("cub"):
        if member.name.endswith(".jpg") and len(by_class.setdefault(class_of(member).name, [])) < 6:
            archive.extract(member, tmp_path, filter="data")
            by_class[class_of(member).name].append(tmp_path / member.name)
        if len(by_class) > 4:
            break
    labeled = [(path, name) for name, paths in list(by_class.items())[:4] for path in paths]
    model = ImageClassifier().fit([path for path, _ in labeled[::2]], [name for _, name in labeled[::2]])
    model.export_onnx(tmp_path / "birds.onnx")
    photographs = [path for path, _ in labeled[1::2]]
    assert_agree(tmp_path / "birds.onnx", model, [np.asarray(Image.open(path).convert("RGB")) for path in photographs])
    assert [line.split(": ")[1].split(" (")[0] for line in run_script(tmp_path / "birds.onnx", *photographs)] == [
        label or "none of these" for label in model.predict(photographs)
    ]


@dataclass(kw_only=True, eq=False, repr=False)
class Branching(InductiveClassifier):
    name = "branching"
    title = "branching"

    def fit_tasks(self, tasks: FewShotTasks, generator: torch.Generator) -> "BranchingMeans":
        return BranchingMeans(means=NearestMean().fit_tasks(tasks, generator))


@dataclass(frozen=True, kw_only=True, eq=False)
class BranchingMeans:
    means: FittedMeans

    def scores(self, query: Tensor) -> Tensor:
        return self.means.scores(-query if bool((query < 0).any()) else query)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "scikit-learn": ({"classifier": GaussianNB()}, r"^classifier GaussianNB computes outside torch .* cosine_centroid, .* can$"),
    "own classifier": ({"classifier": Branching()}, r"^classifier branching cannot be exported to ONNX: "),
    "own network": ({"network": Choosing()}, r"^backbone tiny cannot be exported to ONNX: "),
    "random network": ({"network": Sampling()}, r"^\S+model.onnx was not written: for an image of \d+x\d+ pixels .*differs"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_exported_is_refused_by_name(squashing: Any, tmp_path: Path, case: str, capfd: pytest.CaptureFixture[str]) -> None:
    arguments, message = REFUSED[case]
    model = squashing(**arguments)
    with pytest.raises(InputError, match=message) as caught:
        model.export_onnx(tmp_path / "model.onnx")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


def test_a_file_that_differs_from_python_leaves_the_old_one(squashing: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.onnx").write_bytes(b"old")
    monkeypatch.setattr(onnx_export, "TOLERANCE", -1)
    with pytest.raises(InputError, match=r"model\.onnx was not written"):
        squashing().export_onnx(tmp_path / "model.onnx")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("model.onnx", b"old")]


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "onnxscript"])
def test_a_missing_extra_is_named(squashing: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    model = squashing()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=r"^export_onnx needs the extra onnx: pip install 's2m2\[onnx\]'$"):
        model.export_onnx(tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_wrong_paths_and_models_are_refused(squashing: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFittedError):
        ImageClassifier().export_onnx(tmp_path / "model.onnx")
    features = ImageClassifier("features").fit(np.eye(4, dtype=np.float32), [0, 0, 1, 1])
    with pytest.raises(InputError, match="backbone features has no network to export"):
        features.export_onnx(tmp_path / "model.onnx")
    model = squashing()
    with pytest.raises(InputError, match=f"^{tmp_path} is a folder"):
        model.export_onnx(tmp_path)
    (tmp_path / "file").touch()
    with monkeypatch.context() as patch:
        patch.setattr(onnx_export, "_exported", lambda model, extractor: b"")
        with pytest.raises(InputError, match=r"file/model\.onnx cannot be written"):
            model.export_onnx(tmp_path / "file" / "model.onnx")
    monkeypatch.setattr(onnx_export, "MAX_BYTES", 100)
    with pytest.raises(InputError, match=r"^backbone tiny has .* of weights, but one ONNX file"):
        model.export_onnx(tmp_path / "model.onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_labels_that_are_numbers_stay_numbers_and_the_user_folder_is_known(
    squashing: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    model = squashing()
    model.rename_class("warm", 7).rename_class("cold", 12)
    model.for_others().export_onnx("~/model.onnx")
    about = onnxruntime.InferenceSession(tmp_path / "model.onnx").get_modelmeta().custom_metadata_map
    assert json.loads(about["classes"]) == [7, 12]

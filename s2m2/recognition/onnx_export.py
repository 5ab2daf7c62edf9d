"""A fitted `ImageClassifier` as one ONNX file: an image of any size in, calibrated probabilities and the familiarity out.

The file has two parts: square and resize, written out here as ONNX; and everything after them, from the center crop to the softmax, which
torch exports. Before the file gets its name, onnxruntime computes with it, and the results must be Python's.
"""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from copy import deepcopy
from dataclasses import replace
from importlib import import_module
from io import BytesIO, StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from PIL import Image
from torch import Tensor, nn

from s2m2 import __version__
from s2m2.classifiers.base import FewShotClassifier
from s2m2.classifiers.wrapped import WrappedEstimator
from s2m2.errors import InputError
from s2m2.io import replace_file
from s2m2.random import numpy_generator_for
from s2m2.recognition.calibrating import LOG_PROBABILITY_WEIGHT, familiarity
from s2m2.recognition.extractors import FEATURES, Extractor
from s2m2.recognition.leaving_out import MIN_GAP, class_directions
from s2m2.recognition.preprocessing import Preprocessing

if TYPE_CHECKING:
    from s2m2.recognition.classifier import ImageClassifier

OPSET, IR_VERSION = 18, 10
"""Of the file; the first opset with antialiased resizing. Runtimes since 2024 read both."""
OUTPUTS = ("probabilities", "familiarity")
PREFIX = "network/"
"""Of the names that torch chooses, so that none of them is one of ours."""
TOLERANCE = 1e-4
"""Largest difference in probability between the file and Python."""
FAMILIARITY_TOLERANCE = 1e-3
"""The same for the familiarity, which is about 0 to 1 for photos; relative for images that are far away from all classes."""
COVERAGE = 0.95
"""Of the sets whose threshold the file states."""
CHECKED_IMAGES, MAX_THUMBNAILS = 100, 80
"""Images that the file is checked on, and how many of them are labeled ones at most; the others are random."""
MAX_BYTES = 2**31 - 2**20
"""Protocol buffers, of which the file is one, end at 2 GB."""


def export_onnx(model: "ImageClassifier", path: Path) -> None:
    """Write a fitted model, and check it with onnxruntime.

    Raises:
        InputError: the extra `onnx` is missing; backbone or classifier cannot be exported; the file differs from Python; it cannot be
            written.
    """
    _require_extra()
    if path.is_dir():
        raise InputError(f"{path} is a folder, but export_onnx writes a file, {path / 'model.onnx'} say")
    _refuse(model)
    # On the CPU also where the model computes on a GPU, so that the check compares exact products with exact products.
    extractor = replace(model.extractor(), network=deepcopy(model.extractor().network).cpu())
    content = _exported(model, extractor)
    try:
        with replace_file(path) as temporary:
            temporary.write_bytes(content)
            _check(temporary, path, model, extractor)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error


def _require_extra() -> None:
    try:
        for package in ("onnx", "onnxruntime", "onnxscript"):
            import_module(package)
    except ImportError as error:
        raise InputError("export_onnx needs the extra onnx: pip install 's2m2[onnx]'") from error


def _refuse(model: "ImageClassifier") -> None:
    """Raise `InputError` for a model that is known to have no form as ONNX."""
    if model.backbone == FEATURES:
        raise InputError(f"backbone {FEATURES} has no network to export; an ONNX file needs a model that was fitted to images")
    if isinstance(model.classifier_, WrappedEstimator):
        raise InputError(
            f"classifier {model.classifier_.name} computes outside torch and cannot be exported to ONNX; cosine, cosine_centroid, "
            "nearest_mean, logistic, ridge and svm can"
        )


class _CalibratedClassifier(nn.Module):
    """Fitted classifier, temperature, softmax and familiarity."""

    means: Tensor

    def __init__(self, classifier: FewShotClassifier, temperature: float) -> None:
        super().__init__()
        self.classifier, self.temperature = classifier, temperature
        (means,), between = class_directions(classifier.support_)
        self.register_buffer("means", means.float())
        self.gap = 1 - float(between)

    def forward(self, features: Float32[Tensor, "1 dim"]) -> tuple[Float32[Tensor, " class"], Float32[Tensor, ""]]:
        """Probability of each class, and the familiarity.

        A cosine c is taken from the squared distance of the unit vectors, 2 (1 - c), which keeps more digits where they are close.
        """
        logits = self.classifier._query_scores(features[None])[0, 0] / self.temperature
        distance = (nn.functional.normalize(features, dim=-1) - self.means).square().sum(-1).amin(-1)
        closeness = (self.gap - distance / 2) / max(self.gap, MIN_GAP)
        return logits.softmax(-1), closeness + LOG_PROBABILITY_WEIGHT * logits.log_softmax(-1).amax(-1)


class _AfterResizing(nn.Module):
    """Center crop, normalization, backbone and classifier."""

    mean: Tensor
    std: Tensor

    def __init__(self, extractor: Extractor, classifier: _CalibratedClassifier) -> None:
        super().__init__()
        self.network, self.classifier = extractor.network, classifier
        self.size = extractor.preprocessing.size
        self.start = (extractor.preprocessing.resized - self.size) // 2
        self.register_buffer("mean", torch.tensor(extractor.preprocessing.mean)[:, None, None])
        self.register_buffer("std", torch.tensor(extractor.preprocessing.std)[:, None, None])

    def forward(self, pixels: Float32[Tensor, "1 3 resized resized"]) -> tuple[Float32[Tensor, " class"], Float32[Tensor, ""]]:
        """The same of a resized image with values from 0 to 255."""
        inside = slice(self.start, self.start + self.size)
        return self.classifier(self.network((pixels[:, :, inside, inside] / 255 - self.mean) / self.std).float())


def _exported(model: "ImageClassifier", extractor: Extractor) -> bytes:
    """The whole file.

    Raises:
        InputError: backbone or classifier cannot be exported.
    """
    from onnx.checker import check_model
    from onnx.compose import merge_models
    from onnx.helper import set_model_props

    if (needed := sum(values.nbytes for values in extractor.network.state_dict().values())) > MAX_BYTES:
        raise InputError(f"backbone {model.backbone} has {needed / 2**30:.1f} GB of weights, but one ONNX file holds less than 2 GB")
    edge = extractor.preprocessing.resized
    classifier = _CalibratedClassifier(model.classifier_, model.calibration_.temperature)
    try:
        rest = _from_torch(_AfterResizing(extractor, classifier), torch.zeros(1, 3, edge, edge))
    except Exception as error:  # the exporter, the backbone and the classifier raise many kinds, all with the same meaning here
        try:
            _from_torch(classifier, torch.zeros(1, extractor.dim))
            cause = f"backbone {model.backbone}"
        except Exception:
            cause = f"classifier {model.classifier_.name}"
        raise InputError(f"{cause} cannot be exported to ONNX: {_first_cause(error)}") from error
    merged = merge_models(_resize(extractor.preprocessing), rest, io_map=[("resized", "pixels")], prefix2=PREFIX)
    _take_prefix_from_outputs(merged.graph)
    merged.graph.name, merged.producer_name, merged.producer_version = "s2m2", "s2m2", __version__
    merged.doc_string = "One upright RGB image of any size in; probabilities of the classes of metadata `classes`, and familiarity, out."
    set_model_props(merged, _metadata(model, extractor))
    check_model(merged, full_check=True)
    return merged.SerializeToString(deterministic=True)


def _resize(preprocessing: Preprocessing) -> Any:
    """The first part: `square`, and the resizing of `Preprocessing`.

    `exclude_outside` makes the filter end at the border of the image, as in torch, instead of repeating the pixels there.
    """
    from onnx.parser import parse_model

    crop = """
        shape = Shape <start = 0, end = 2> (image)
        edge = ReduceMin <keepdims = 1> (shape)
        two = Constant <value_ints = [2]> ()
        outside = Sub (shape, edge)
        first = Div (outside, two)
        last = Add (first, edge)
        axes = Constant <value_ints = [0, 1]> ()
        square = Slice (image, first, last, axes)
    """
    edge = preprocessing.resized
    return parse_model(f"""
        <ir_version: {IR_VERSION}, opset_import: ["" : {OPSET}]>
        resize (uint8[height, width, 3] image) => (float[1, 3, {edge}, {edge}] resized) {{
            {crop if preprocessing.fit == "crop" else "square = Identity (image)"}
            channels = Transpose <perm = [2, 0, 1]> (square)
            batch_axis = Constant <value_ints = [0]> ()
            batch = Unsqueeze (channels, batch_axis)
            values = Cast <to = 1> (batch)
            sizes = Constant <value_ints = [1, 3, {edge}, {edge}]> ()
            resized = Resize <mode = "linear", antialias = 1, exclude_outside = 1> (values, , , sizes)
        }}
    """)


def _from_torch(module: nn.Module, example: Tensor) -> Any:
    """A module with the outputs of the file as a model in ONNX, for inputs of one shape."""
    with _quiet(), torch.no_grad():
        # Traced here: of a module, torch.onnx.export would try everything that does not work in a second way.
        traced = torch.export.export(module.eval(), (example,), strict=False)
        program = torch.onnx.export(
            traced, input_names=("pixels",), output_names=OUTPUTS, opset_version=OPSET, dynamo=True, external_data=False, verbose=False
        )
    assert program is not None
    proto = program.model_proto
    proto.ir_version = IR_VERSION
    graph = proto.graph
    for part in (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer, graph):
        del part.metadata_props[:]  # lines of code with the folders of this machine
    return proto


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch's exporter warns of and prints: its own future, and whole graphs where it fails."""
    logger = logging.getLogger("torch")
    level = logger.level
    with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        warnings.simplefilter("ignore")
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            logger.setLevel(level)


def _take_prefix_from_outputs(graph: Any) -> None:
    names = {output.name: output.name.removeprefix(PREFIX) for output in graph.output}
    for node in graph.node:
        node.output[:] = [names.get(name, name) for name in node.output]
        node.input[:] = [names.get(name, name) for name in node.input]
    for output in graph.output:
        output.name = names[output.name]


def _first_cause(error: BaseException) -> str:
    """One line; the errors of torch's exporter that come of it say little."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _metadata(model: "ImageClassifier", extractor: Extractor) -> dict[str, str]:
    """What a program needs beside the probabilities; all values are text, numbers with all their digits."""
    calibration = model.calibration_
    return {
        "classes": json.dumps(model.classes_.tolist(), ensure_ascii=False),
        "temperature": repr(calibration.temperature),
        "unknown_threshold": repr(calibration.threshold(model.unknown)),
        f"set_threshold_{COVERAGE}": repr(calibration.set_threshold(COVERAGE)),
        "resized": str(extractor.preprocessing.resized),
        "backbone": _backbone_name(extractor),
        "classifier": model.classifier_.name,
        "s2m2": __version__,
    }


def _backbone_name(extractor: Extractor) -> str:
    """As the user gave it, but without the folders of this machine."""
    name, separator, file = extractor.name.rpartition(":")
    if extractor.loaded is not None or file.endswith(".safetensors"):
        return f"{name}{separator}{Path(file).name}"
    return extractor.name


def _check(file: Path, path: Path, model: "ImageClassifier", extractor: Extractor) -> None:
    """Raise `InputError` unless the file gives Python's probabilities and familiarity."""
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    for image in _check_images(model, extractor.preprocessing.resized):
        answers = session.run(OUTPUTS, {"image": image})
        queries = model.query_scores(extractor([extractor.preprocessing(image)]))
        probabilities = model.calibration_.probabilities(queries.scores)[0].numpy()
        expected = float(familiarity(queries, model.calibration_.temperature))
        limits = TOLERANCE, FAMILIARITY_TOLERANCE * max(abs(expected), 1)
        names = "a probability", "the familiarity"
        for what, answer, value, limit in zip(names, answers, (probabilities, expected), limits, strict=True):
            difference = float(np.abs(answer - value).max())
            if not difference <= limit:  # also where one of them is no number
                raise InputError(
                    f"{path} was not written: for an image of {image.shape[1]}x{image.shape[0]} pixels {what} differs from Python's by "
                    f"{difference:.2g}, but {limit:g} is the limit; backbone {model.backbone} computes otherwise as ONNX"
                )


def _check_images(model: "ImageClassifier", resized: int) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """100 images: small copies of labeled ones, and random ones larger and smaller than the network's, wide, high and square."""
    thumbnails = [content for content in model.support_.thumbnails if content]
    for content in thumbnails[:: max(len(thumbnails) // MAX_THUMBNAILS, 1)][:MAX_THUMBNAILS]:
        yield np.asarray(Image.open(BytesIO(content), formats=("JPEG",)).convert("RGB"))
    generator = numpy_generator_for(0, "onnx")
    edge, half, double = resized, resized // 2 + 1, 2 * resized
    shapes = [(edge, edge), (1, 1), (3, 50), (double, edge + 1), (half, 3 * edge), (edge + 1, double)]
    more = CHECKED_IMAGES - min(len(thumbnails), MAX_THUMBNAILS) - len(shapes)
    shapes += [(int(high), int(wide)) for high, wide in generator.integers(1, edge + half, (more, 2))]
    for shape in shapes:
        yield generator.integers(0, 256, (*shape, 3), dtype=np.uint8)

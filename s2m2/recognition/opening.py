"""The content of a model folder, checked: a damaged one is one line, and none runs code that came with it."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from s2m2 import __version__
from s2m2.errors import InputError, need
from s2m2.io import parse_json, unseal
from s2m2.recipe import read_recipe
from s2m2.recipe.parts import CLASSIFIERS, BackboneName
from s2m2.recognition.calibrating import Calibration
from s2m2.recognition.extractors import EMBEDDED, FEATURES, HUBS, TIMM, split_timm
from s2m2.recognition.reference import Reference
from s2m2.recognition.saving import BACKBONE, FORMAT, MODEL, WEIGHTS
from s2m2.recognition.support import Change, Support
from s2m2.runs.directory import RunDirectory

COPIED = re.compile(rf"{BACKBONE}(-[0-9a-f]+)?")
"""Folder of a run that is the backbone."""
COPIED_WEIGHTS = re.compile(rf"{WEIGHTS}-[0-9a-f]+\.safetensors")
TRUST = "if you trust who made the model, --trust_code true, or ImageClassifier.load(..., trust_code=True), opens it"
KEYS = ("settings", "labels", "names", "digests", "changes", "calibration", "files", "classes", "notes", "fingerprint")
"""Of `model.json`, beside its version."""
SETTINGS = ("backbone", "classifier", "unknown", "batch_size", "random_state")


class _MissingPartError(InputError):
    """A file that `model.json` names is not there."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SavedModel:
    """The content of a model folder."""

    settings: dict[str, Any]
    """Arguments of the constructor."""
    automatic: bool
    """The classifier of the settings was chosen by `auto`."""
    support: Support
    calibration: Calibration
    reference: Reference | None
    """None: the one that comes with the backbone, or none at all."""
    notes: tuple[str, ...]
    fingerprint: str | None
    """Of the backbone; None where it takes features."""


def read_model(folder: Path, *, trust_code: bool = False) -> SavedModel:
    """The content of a model folder, checked.

    Args:
        trust_code: allow classifiers and backbones that are code of other packages, and backbones outside the folder.

    Raises:
        InputError: there is no model, it is of a newer version, a file is missing or damaged, or the model needs code of others.
    """
    try:
        return _read_state(folder, trust_code)
    except _MissingPartError:
        return _read_state(folder, trust_code)  # another process may have saved a new state in the meantime


def _read_state(folder: Path, trust_code: bool) -> SavedModel:
    file, about = folder / MODEL, _read_about(folder)
    try:
        _check_about(about)
        settings = dict(about["settings"])
        if not trust_code:
            _check_trusted(folder, settings)
        settings["backbone"] = _resolved_backbone(folder, settings["backbone"])
        files = {name.split("-")[0]: (name, digest) for name, digest in about["files"].items()}
        need("images" in files, "it names no images")
        support = _support(about, _read_tensors(folder, *files["images"])[0])
        reference = Reference.from_tensors(*_read_tensors(folder, *files["reference"])) if "reference" in files else None
        return SavedModel(
            settings=settings,
            automatic=about.get("automatic") is True,
            support=support,
            calibration=_calibration(about["calibration"]),
            reference=reference,
            notes=tuple(about["notes"]),
            fingerprint=about["fingerprint"],
        )
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, OverflowError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise InputError(f"{file} is damaged: {reason}") from error


def _read_about(folder: Path) -> dict[str, Any]:
    file = folder / MODEL
    if not folder.is_dir():
        raise InputError(f"there is no model folder {folder}")
    if not file.is_file():
        raise InputError(f"{folder} is no model, or only part of one: it has no {MODEL}")
    try:
        about = parse_json(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} is damaged: it is no JSON") from error
    version = about.get("format") if isinstance(about, dict) else None
    if not isinstance(version, int):
        raise InputError(f"{file} is no model of s2m2")
    if version > FORMAT:
        raise InputError(f"{folder} was written by s2m2 {about.get('s2m2')}, this is {__version__}; a newer one reads it")
    try:
        about = unseal(about)
    except ValueError as error:
        raise InputError(f"{file} is damaged: {error}") from error
    if missing := [key for key in KEYS if key not in about]:
        raise InputError(f"{file} is damaged: it lacks {', '.join(missing)}")
    return dict(about)


def _check_about(about: Mapping[str, Any]) -> None:
    """Kinds and lengths of everything that the rest of the reading takes for granted."""
    settings = about["settings"]
    need(isinstance(settings, dict), "settings is no object")
    for key in SETTINGS:
        need(key in settings, f"its settings lack {key}")
    for key in settings:
        need(key in SETTINGS, f"it has the unknown setting {key!r}")
    need(isinstance(settings["backbone"], str), "backbone is no text")
    need(type(settings["unknown"]) in (int, float), f"unknown is {settings['unknown']!r}")
    for key in ("batch_size", "random_state"):
        need(type(settings[key]) is int, f"{key} is {settings[key]!r}")
    need(isinstance(settings["classifier"], str | dict), "classifier is neither a name nor an object")
    for key in ("names", "digests", "notes"):
        need(isinstance(about[key], list) and all(isinstance(text, str) for text in about[key]), f"{key} is no list of texts")
    _check_labels(about["labels"], "labels")
    for key in ("names", "digests"):
        need(len(about[key]) == len(about["labels"]), f"it has {len(about['labels']):,} labels, but {len(about[key]):,} {key}")
    files = about["files"]
    need(isinstance(files, dict) and all(isinstance(digest, str) for digest in files.values()), "files has no digests")
    need(about["fingerprint"] is None or isinstance(about["fingerprint"], str), "fingerprint is no text")
    need((about["fingerprint"] is None) == (settings["backbone"] == FEATURES), "fingerprint and backbone do not belong together")
    need(isinstance(about["changes"], list), "changes is no list")
    for change in about["changes"]:
        _check_change(change, len(about["labels"]))


def _check_labels(labels: Any, name: str) -> None:
    need(isinstance(labels, list), f"{name} is no list")
    for label in labels:
        whole = isinstance(label, int) and not isinstance(label, bool) and -(2**63) <= label < 2**63
        need(label is None or whole or (isinstance(label, str) and bool(label.strip())), f"{name} has {label!r}")


def _check_change(change: Any, items: int) -> None:
    need(isinstance(change, dict) and isinstance(change.get("action"), str), "a change has no action")
    _check_labels(change.get("before"), "a change")
    _check_labels(change.get("after"), "a change")
    own = change.get("items")
    fits = isinstance(own, list) and all(type(item) is int and 0 <= item < items for item in own)
    need(fits and len(own) == len(change["before"]) == len(change["after"]), "a change names items that are not there")


def _check_trusted(folder: Path, settings: Mapping[str, Any]) -> None:
    """Refuse what would import code, or read files outside the folder.

    Raises:
        InputError: the message names `model.json`.
    """
    file, classifier, backbone = folder / MODEL, settings["classifier"], settings["backbone"]
    name = classifier.get("name") if isinstance(classifier, dict) else classifier
    need(isinstance(name, str), "its classifier has no name")
    if name not in CLASSIFIERS and classifier != "auto":
        raise InputError(f"{file} names the classifier {name!r}, which is no part of s2m2; {TRUST}")
    if backbone in (EMBEDDED, FEATURES):
        return
    if backbone.startswith(TIMM):
        model, _, weights = backbone.removeprefix(TIMM).partition(":")
        if not re.fullmatch(r"[\w.-]+", model) or model in HUBS or not (COPIED_WEIGHTS.fullmatch(weights) or weights == ""):
            raise InputError(f"{file} names the backbone {backbone!r}, which is neither a model of timm nor in the folder; {TRUST}")
        return
    if not COPIED.fullmatch(backbone):
        raise InputError(f"{file} names the backbone {backbone!r}, which is not in the folder; {TRUST}")
    if not (recipe := RunDirectory(folder / backbone).recipe).is_file():
        raise _MissingPartError(f"{folder} is only part of a model: it lacks {backbone}/{recipe.name}")
    network = read_recipe(recipe).model
    if network.backbone not in get_args(BackboneName) or (network.timm is not None and not re.fullmatch(r"[\w.-]+", network.timm)):
        raise InputError(f"{file} names a backbone of the network {network.backbone!r}, which is no part of s2m2; {TRUST}")


def _resolved_backbone(folder: Path, name: str) -> str:
    """The backbone's name, with paths in the folder made whole."""
    if COPIED.fullmatch(name):
        return str(folder / name)
    if name.startswith(TIMM):
        model, weights = split_timm(name)
        if weights is not None and COPIED_WEIGHTS.fullmatch(str(weights)):
            return f"{TIMM}{model}:{folder / weights}"
    return name


def _support(about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Support:
    features, sizes, content = tensors["features"], tensors["thumbnail_sizes"], tensors["thumbnails"]
    together = features.ndim == 2 and len(features) == len(about["labels"]) == len(sizes)
    need(together and int(sizes.sum()) == len(content) and bool((sizes >= 0).all()), "it and its images do not belong together")
    need(features.dtype == torch.float32 and bool(features.isfinite().all()), "its features are no finite numbers")
    whole, ends = content.numpy().tobytes(), sizes.cumsum(0).tolist()
    return Support(
        features=features,
        labels=tuple(about["labels"]),
        names=tuple(about["names"]),
        digests=tuple(about["digests"]),
        thumbnails=tuple(whole[end - size : end] for end, size in zip(ends, sizes.tolist(), strict=True)),
        changes=tuple(Change.from_dict(change) for change in about["changes"]),
    )


def _calibration(values: Any) -> Calibration:
    need(isinstance(values, dict), "calibration is no object")
    temperature = values["temperature"]
    need(type(temperature) in (int, float) and isfinite(temperature) and temperature > 0, f"temperature is {temperature!r}")
    need(isinstance(values["reference"], str) and type(values["own"]) is int, "calibration does not say what it is made of")
    calibration = Calibration.from_dict({**values, "temperature": float(temperature)})
    need(calibration.familiarity.ndim == calibration.truth.ndim == 1, "calibration has no lists of quantiles")
    need(len(calibration.familiarity) == len(calibration.truth), "calibration has two numbers of quantiles")
    quantiles = torch.cat([calibration.familiarity, calibration.truth])
    need(not bool(quantiles.isnan().any()), "calibration has quantiles that are no numbers")
    return calibration


def _read_tensors(folder: Path, name: str, digest: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a file of the model."""
    file = folder / Path(name).name
    if not file.is_file():
        raise _MissingPartError(f"{folder} is only part of a model: it lacks {name}")
    try:
        if hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            raise InputError(f"{file} is damaged: its content is not what {MODEL} states")
        with safe_open(file, "pt") as stored:
            return {key: stored.get_tensor(key) for key in stored.keys()}, stored.metadata() or {}  # noqa: SIM118 (no mapping)
    except FileNotFoundError as error:
        raise _MissingPartError(f"{folder} is only part of a model: it lacks {name}") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}") from error
    except (SafetensorError, KeyError) as error:
        raise InputError(f"{file} is damaged: {error}") from error

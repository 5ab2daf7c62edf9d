"""A fitted `ImageClassifier` as a folder: `model.json`, safetensors and a card. Nothing is pickled.

`model.json` is written last and names the other files with their SHA-256, so that a folder changes from one state to the next at once: a
kill, a full disk or a half copied folder is noticed, never used.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from s2m2 import __version__
from s2m2.errors import InputError
from s2m2.io import create_folder, write_tensors, write_text
from s2m2.recognition.calibration import Calibration
from s2m2.recognition.extractors import EMBEDDED, FEATURES, TIMM
from s2m2.recognition.reference import Reference
from s2m2.recognition.support import Change, Support

if TYPE_CHECKING:
    from s2m2.recognition.classifier import ImageClassifier

FORMAT = 1
"""Version of the folder's layout."""
MODEL, CARD, BACKBONE = "model.json", "README.md", "backbone"
"""Names in the folder; the images' features are in `images-<digest>.safetensors`."""
STEM_LENGTH = 12
"""Digits of a digest in a file name."""


def save_model(model: "ImageClassifier", folder: Path, *, overwrite: bool = False) -> None:
    """Write a fitted model; a folder that holds a model already gets the new state at once.

    Raises:
        InputError: the folder holds something else, or cannot be written.
    """
    try:
        if (folder / MODEL).is_file():
            if not overwrite:
                raise InputError(f"{folder} holds a model already; overwrite replaces it")
            _write(model, folder)
        elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder} exists and is no model; choose another folder")
        elif folder.exists():
            _write(model, folder)
        else:
            with create_folder(folder) as temporary:
                _write(model, temporary)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{folder} cannot be written: {getattr(error, 'strerror', None) or error}") from error


def _write(model: "ImageClassifier", folder: Path) -> None:
    support = model.support_
    thumbnails = np.frombuffer(b"".join(support.thumbnails), dtype=np.uint8)
    tensors = {
        "features": support.features,
        "thumbnails": torch.from_numpy(thumbnails.copy()),
        "thumbnail_sizes": torch.tensor([len(one) for one in support.thumbnails], dtype=torch.int64),
    }
    written = _write_named(folder, "images", tensors)
    if (reference := model.own_reference()) is not None:
        written |= _write_named(folder, "reference", reference.to_tensors(), reference.to_dict())
    about = {
        "format": FORMAT,
        "s2m2": __version__,
        "settings": _settings(model, folder),
        "fingerprint": None if model.backbone == FEATURES else model.extractor().fingerprint,
        "classes": model.classes_.tolist(),
        "labels": list(support.labels),
        "names": list(support.names),
        "digests": list(support.digests),
        "changes": [change.to_dict() for change in support.changes],
        "calibration": model.calibration_.to_dict(),
        "notes": list(model.notes_),
        "files": written,
    }
    from s2m2.recognition.card import model_card

    write_text(folder / CARD, model_card(model))
    write_text(folder / MODEL, json.dumps(about, indent=1, ensure_ascii=False))
    for old in [*folder.glob("images-*.safetensors"), *folder.glob("reference-*.safetensors")]:
        if old.name not in written:
            old.unlink(missing_ok=True)


def _write_named(folder: Path, stem: str, tensors: Mapping[str, Tensor], about: Mapping[str, str] | None = None) -> dict[str, str]:
    """Write tensors under a name that has their digest; the name and the digest."""
    temporary = folder / f".{stem}.safetensors"
    write_tensors(temporary, tensors, about or {})
    digest = hashlib.sha256(temporary.read_bytes()).hexdigest()
    name = f"{stem}-{digest[:STEM_LENGTH]}.safetensors"
    temporary.replace(folder / name)
    return {name: digest}


def _settings(model: "ImageClassifier", folder: Path) -> dict[str, Any]:
    """The constructor's arguments, with the backbone as the folder has it."""
    settings = {key: value for key, value in model.get_params(deep=False).items() if key not in ("device", "reference")}
    settings["backbone"] = _own_backbone(model, folder)
    if not isinstance(settings["classifier"], str | Mapping):
        built = model.classifier_
        settings["classifier"] = {"name": built.name, **built.settings()}
    return settings


def _own_backbone(model: "ImageClassifier", folder: Path) -> str:
    """The backbone's name; a run or an export is copied into the folder, so that it can be given away."""
    name = str(model.backbone)
    if name in (EMBEDDED, FEATURES) or name.startswith(TIMM):
        return name
    if not (folder / BACKBONE).exists():
        loaded = model.extractor().loaded
        assert loaded is not None
        run, target = loaded.run, folder / BACKBONE
        for file in (run.recipe, run.imported, run.best(loaded.stage), run.outcome(loaded.stage)):
            if file.is_file():
                copy = target / file.relative_to(run.path)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
    return BACKBONE


@dataclass(frozen=True, kw_only=True, eq=False)
class SavedModel:
    """The content of a model folder."""

    settings: dict[str, Any]
    """Arguments of the constructor."""
    support: Support
    calibration: Calibration
    reference: Reference | None
    """None: the one that comes with the backbone, or none at all."""
    notes: tuple[str, ...]
    fingerprint: str | None
    """Of the backbone; None where it takes features."""


def read_model(folder: Path) -> SavedModel:
    """The content of a model folder, checked.

    Raises:
        InputError: there is no model, it is of a newer version, or a file is missing or damaged.
    """
    about = _read_about(folder)
    files = {name.split("-")[0]: (name, digest) for name, digest in about["files"].items()}
    if "images" not in files:
        raise InputError(f"{folder / MODEL} is damaged: it names no images")
    file = files["images"][0]
    tensors, _ = _read_tensors(folder, *files["images"])
    reference = Reference.from_tensors(*_read_tensors(folder, *files["reference"])) if "reference" in files else None
    settings = dict(about["settings"])
    if settings["backbone"] == BACKBONE:
        settings["backbone"] = str(folder / BACKBONE)
    support = Support(
        features=tensors["features"],
        labels=tuple(about["labels"]),
        names=tuple(about["names"]),
        digests=tuple(about["digests"]),
        thumbnails=_split(tensors["thumbnails"], tensors["thumbnail_sizes"]),
        changes=tuple(Change.from_dict(change) for change in about["changes"]),
    )
    if not len(support.labels) == len(support.names) == len(support.features) == len(support.thumbnails):
        raise InputError(f"{folder / MODEL} and {file} do not belong together; copy the folder again")
    return SavedModel(
        settings=settings,
        support=support,
        calibration=Calibration.from_dict(about["calibration"]),
        reference=reference,
        notes=tuple(about["notes"]),
        fingerprint=about["fingerprint"],
    )


def _split(content: Tensor, sizes: Tensor) -> tuple[bytes, ...]:
    whole, ends = content.numpy().tobytes(), sizes.cumsum(0).tolist()
    return tuple(whole[end - size : end] for end, size in zip(ends, sizes.tolist(), strict=True))


def download_model(name: str, revision: str | None) -> Path:
    """The folder of a model on the Hugging Face hub, downloaded once.

    Raises:
        InputError: there is no such repository, or it cannot be reached.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=[MODEL, CARD, "*.safetensors", f"{BACKBONE}/**"]))
    except Exception as error:  # its client raises many kinds, all with the same meaning here
        raise InputError(f"{name} is no model folder and cannot be downloaded: {' '.join(str(error).split())}") from error


def upload_model(model: "ImageClassifier", repo_id: str, *, private: bool, thumbnails: bool) -> str:
    """Upload a model; returns its address.

    Raises:
        InputError: the hub cannot be reached or refuses it.
    """
    from huggingface_hub import HfApi

    shared = model if thumbnails else model.without_thumbnails()
    with TemporaryDirectory() as temporary:
        save_model(shared, Path(temporary) / "model")
        try:
            api = HfApi()
            address = api.create_repo(repo_id, private=private, exist_ok=True)
            api.upload_folder(repo_id=repo_id, folder_path=Path(temporary) / "model", delete_patterns="*.safetensors")
        except Exception as error:
            raise InputError(f"{repo_id} cannot be uploaded: {' '.join(str(error).split())}") from error
    return str(address)


def _read_about(folder: Path) -> dict[str, Any]:
    file = folder / MODEL
    if not folder.is_dir():
        raise InputError(f"there is no model folder {folder}")
    if not file.is_file():
        raise InputError(f"{folder} is no model, or only part of one: it has no {MODEL}")
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} is damaged: it is no JSON") from error
    version = about.get("format") if isinstance(about, dict) else None
    if not isinstance(version, int):
        raise InputError(f"{file} is no model of s2m2")
    if version > FORMAT:
        raise InputError(f"{folder} was written by s2m2 {about.get('s2m2')}, this is {__version__}; a newer one reads it")
    if missing := {"settings", "labels", "names", "digests", "changes", "calibration", "files", "classes", "notes"} - about.keys():
        raise InputError(f"{file} is damaged: it lacks {', '.join(sorted(missing))}")
    return about


def _read_tensors(folder: Path, name: str, digest: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a file of the model."""
    file = folder / Path(name).name
    if not file.is_file():
        raise InputError(f"{folder} is only part of a model: it lacks {name}")
    try:
        if hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            raise InputError(f"{file} is damaged: its content is not what {MODEL} states")
        with safe_open(file, "pt") as stored:
            return {key: stored.get_tensor(key) for key in stored.keys()}, stored.metadata() or {}  # noqa: SIM118 (no mapping)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}") from error
    except (SafetensorError, KeyError) as error:
        raise InputError(f"{file} is damaged: {error}") from error

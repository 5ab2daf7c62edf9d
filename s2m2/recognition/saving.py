"""A fitted `ImageClassifier` as a folder: `model.json`, safetensors and a card. Nothing is pickled.

`model.json` is written last and names the other files with their SHA-256, so that a folder changes from one state to the next at once: a
kill, a full disk or a half copied folder is noticed, never used.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor

from s2m2 import __version__
from s2m2.classifiers import load_class
from s2m2.errors import InputError
from s2m2.io import create_folder, expanded, replace_file, seal, write_tensors, write_text
from s2m2.recipe import recipe_to_yaml
from s2m2.recipe.model_folder import MODEL as MODEL
from s2m2.recipe.parts import CLASSIFIERS
from s2m2.recognition.extractors import EMBEDDED, FEATURES, TIMM, split_timm
from s2m2.reports.export_weights import shareable
from s2m2.runs.directory import RunDirectory

if TYPE_CHECKING:
    from s2m2.recognition.classifier import ImageClassifier

FORMAT = 1
"""Version of the folder's layout."""
CARD, BACKBONE, WEIGHTS = "README.md", "backbone", "weights"
"""Names in the folder: the images' features are in `images-<digest>.safetensors`, a run that is the backbone in `backbone-<digest>`
(`backbone` in older models), a file of timm's weights in `weights-<digest>.safetensors`."""
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
    settings = _settings(model, folder)
    about = {
        "format": FORMAT,
        "s2m2": __version__,
        "settings": settings,
        "automatic": isinstance(model.classifier, str) and model.classifier == "auto",
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
    from s2m2.recognition.folder_card import model_card

    write_text(folder / CARD, model_card(model))
    write_text(folder / MODEL, json.dumps(seal(about), indent=1, ensure_ascii=False))
    _remove_others(folder, {*written, settings["backbone"].rpartition(":")[2]})


def _remove_others(folder: Path, named: set[str]) -> None:
    """Remove what belonged to earlier states."""
    for pattern in ("images-*.safetensors", "reference-*.safetensors", f"{WEIGHTS}-*.safetensors"):
        for file in folder.glob(pattern):
            if file.name not in named:
                file.unlink(missing_ok=True)
    for old in (folder / BACKBONE, *folder.glob(f"{BACKBONE}-*")):
        if old.name not in named and old.is_dir() and not old.is_symlink():
            shutil.rmtree(old, ignore_errors=True)


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
    settings |= {key: int(settings[key]) for key in ("batch_size", "random_state")} | {
        "unknown": float(settings["unknown"])
    }  # perhaps NumPy's
    settings["classifier"] = _named_classifier(model)
    settings["backbone"] = _own_backbone(model, folder)
    return settings


def _named_classifier(model: "ImageClassifier") -> Any:
    """The classifier by its name with all its settings, which later versions of this package may have other defaults for.

    Raises:
        InputError: it is an object that no name stands for, so that it could not be built again.
    """
    given, built = model.classifier, model.classifier_
    if type(built) is _class_of(built.name):
        seed = getattr(built, "random_state", model.random_state)
        if not built.needs_base and seed == model.random_state:
            return {"name": built.name, **built.settings()}
    elif isinstance(given, str | Mapping):  # code from elsewhere, which the one who loads the model must have
        try:
            json.dumps(given)
        except (TypeError, ValueError) as error:
            raise InputError(f"classifier {built.name} has settings that cannot be saved: {error}") from error
        return given
    raise InputError(
        f"classifier {type(given).__name__} is an object that cannot be saved; name one of s2m2 with its settings, as {{'name': 'ridge'}}"
    )


def _class_of(name: str) -> Any:
    return load_class(name) if name in CLASSIFIERS else None


def _own_backbone(model: "ImageClassifier", folder: Path) -> str:
    """The backbone's name; a run, an export or a file of weights is copied into the folder, so that it can be given away."""
    name = str(model.backbone)
    if name in (EMBEDDED, FEATURES):
        return name
    if name.startswith(TIMM):
        network, file = split_timm(name)
        return name if file is None else f"{TIMM}{network}:{_copied_weights(file, folder)}"
    if expanded(name).absolute() == (folder / BACKBONE).absolute():
        return BACKBONE  # of an older model, which goes on reading it
    extractor = model.extractor()
    loaded, target = extractor.loaded, folder / f"{BACKBONE}-{extractor.fingerprint[:STEM_LENGTH]}"
    assert loaded is not None
    if not target.exists():
        run = loaded.run
        with create_folder(target) as temporary:
            write_text(RunDirectory(temporary).recipe, recipe_to_yaml(shareable(loaded.recipe, loaded.stage)))  # without your paths
            for file in (run.imported, run.best(loaded.stage), run.outcome(loaded.stage)):
                if file.is_file():
                    copy = temporary / file.relative_to(run.path)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, copy)
    return target.name


def _copied_weights(file: Path, folder: Path) -> str:
    target = folder / f"{WEIGHTS}-{hashlib.sha256(file.read_bytes()).hexdigest()[:STEM_LENGTH]}.safetensors"
    if not target.exists():
        with replace_file(target) as temporary:
            shutil.copyfile(file, temporary)
    return target.name


def download_model(name: str, revision: str | None) -> Path:
    """The folder of a model on the Hugging Face hub, downloaded once.

    Raises:
        InputError: there is no such repository, or it cannot be reached.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=[MODEL, CARD, "*.safetensors", f"{BACKBONE}*/**"]))
    except Exception as error:  # its client raises many kinds, all with the same meaning here
        raise InputError(f"{name} is no model folder and cannot be downloaded: {' '.join(str(error).split())}") from error


def upload_model(model: "ImageClassifier", repo_id: str, *, private: bool, thumbnails: bool) -> str:
    """Upload a model; returns its address.

    Raises:
        InputError: the hub cannot be reached or refuses it.
    """
    from huggingface_hub import HfApi

    shared = model.for_others(thumbnails=thumbnails)
    with TemporaryDirectory() as temporary:
        save_model(shared, Path(temporary) / "model")
        try:
            api = HfApi()
            address = api.create_repo(repo_id, private=private, exist_ok=True)
            api.upload_folder(repo_id=repo_id, folder_path=Path(temporary) / "model", delete_patterns=["*.safetensors", f"{BACKBONE}*/**"])
        except Exception as error:
            raise InputError(f"{repo_id} cannot be uploaded: {' '.join(str(error).split())}") from error
    return str(address)

"""`ImageClassifier`: names images after a few labeled ones of each class, with probabilities, sets, and "none of these"."""
# ruff: noqa: N803, N806 (scikit-learn's names)

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float32, Float64
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from torch import Tensor

from s2m2.arguments import device_argument, path_argument, real_number, whole_number
from s2m2.classifiers import build_classifier
from s2m2.classifiers.base import FewShotClassifier
from s2m2.console import count
from s2m2.errors import InputError
from s2m2.recognition.calibration import Calibration, calibrate
from s2m2.recognition.extractors import EMBEDDED, FEATURES, Extractor, extractor_for
from s2m2.recognition.inputs import labeled_images, plain_label, plain_labels, skipped_note
from s2m2.recognition.leaving_out import LeftOut, QueryScores, closeness, leave_out
from s2m2.recognition.reading import FeatureBatch, as_items, feature_batches
from s2m2.recognition.reference import Reference, reference_for
from s2m2.recognition.saving import download_model, read_model, save_model, upload_model
from s2m2.recognition.support import Label, Support, sort_labels
from s2m2.threads import one_thread

if TYPE_CHECKING:
    from s2m2.recognition.report import FitReport

AUTOMATIC = {"name": "cosine", "scale": 10.0}
"""Classifier by default: S2M2's, with a scale chosen on base classes of CUB and CIFAR-FS."""
MAX_COSINE_ITEMS = 1000
"""Labeled images that it is fitted to."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """What a fitted model says of some images, in order."""

    probabilities: Float64[np.ndarray, "image class"]
    """Calibrated probability of each class, in the order of `classes`."""
    classes: tuple[Label, ...]
    unknown: np.ndarray
    """Whether an image is probably of none of the classes, bool " image"."""

    def labels(self) -> np.ndarray:
        """The most probable class of each image, None where it is unknown."""
        best = np.array([*self.classes], dtype=object)[self.probabilities.argmax(-1)]
        best[self.unknown] = None
        return best


class ImageClassifier(ClassifierMixin, BaseEstimator):
    """Names images after a few labeled ones of each class. Follows scikit-learn's conventions, on images in place of features.

    Args:
        backbone: frozen network that gives the features: `efficientnet_lite0` (embedded, needs no download), `timm:MODEL`,
            `timm:MODEL:FILE.safetensors`, the directory of a run or an export, or `features` where X holds features of your own.
        classifier: an inductive few-shot classifier on the features: a name, a mapping with settings, or an instance. auto: `cosine` of
            S2M2 with a scale of 10; for more than 1,000 images, which it takes too long to fit to, `cosine_centroid`.
        unknown: fraction of images of your classes that may be turned away as "none of these"; 0 turns none away.
        reference: images of other classes than yours, from which probabilities and thresholds are calibrated: a folder of class folders
            or a csv list, or a pair of features and labels. None: those that come with the embedded backbone, or the validation
            classes of a run.
        batch_size: images in one pass of the network.
        device: where the network runs, such as `cuda`; None: a GPU if there is one.
        random_state: seed of the classifier and of the calibration.

    Attributes after `fit`: `classes_`, `support_` (labeled images), `calibration_`, and `notes_` (what was left out, in sentences).

    Example:
        >>> model = s2m2.ImageClassifier().fit("birds/")
        >>> model.predict(["a.jpg", "b.jpg"])
        array(['Barn Swallow', None], dtype=object)
    """

    _extractor: Extractor | None = None
    _has_reference = False
    _left_out: LeftOut | None = None
    _reference_set: Reference | None = None
    _saved_fingerprint: str | None = None

    def __init__(
        self,
        backbone: str | Path = EMBEDDED,
        classifier: Any = "auto",
        *,
        unknown: float = 0.05,
        reference: Any = None,
        batch_size: int = 64,
        device: str | None = None,
        random_state: int = 0,
    ) -> None:
        self.backbone = backbone
        self.classifier = classifier
        self.unknown = unknown
        self.reference = reference
        self.batch_size = batch_size
        self.device = device
        self.random_state = random_state

    # Fitting

    def fit(self, X: Any, y: Any = None) -> "ImageClassifier":
        """Fit to labeled images: a folder of class folders or a csv list without `y`, else images of any kind and their labels.

        Images that cannot be read, and repeated ones of a class, are left out, and `notes_` says so.

        Raises:
            InputError: a setting is wrong; there are fewer than two classes; a class has no readable image; equal images have different
                labels.
        """
        self._validate()
        self.notes_: tuple[str, ...] = ()
        support = self._read(X, y)
        if len(support.classes()) < 2:
            found = f"one class only, {support.classes()[0]}" if support.classes() else "no readable image"
            raise InputError(f"there is {found}; two classes are needed at least, each in a folder or with a label of its own")
        return self._fitted(replace(support, changes=()))

    def partial_fit(self, X: Any, y: Any = None) -> "ImageClassifier":
        """Add labeled images, of new classes or of those that there are. Only the new images pass through the backbone."""
        if not hasattr(self, "support_"):
            return self.fit(X, y)
        self.notes_ = ()
        new = self._read(X, y)
        known = [self.support_.item_with(digest) for digest in new.digests]
        for item, (label, name) in zip(known, zip(new.labels, new.names, strict=True), strict=True):
            if item is not None and self.support_.labels[item] != label:
                raise InputError(
                    f"{name} equals {self.support_.names[item]}, which is {self.support_.labels[item]}, not {label}; correct() moves it"
                )
        fresh = [position for position, item in enumerate(known) if item is None]
        if len(fresh) < len(known):
            self.notes_ += (f"{count(len(known) - len(fresh), 'image')} left out, as the model has them already",)
        if not fresh:
            return self
        new = new.take(fresh)
        what = ", ".join(map(str, new.classes()))
        return self._fitted(self.support_.added(new, f"added {count(len(fresh), 'image')} of {what}"))

    def remove_class(self, label: Label) -> "ImageClassifier":
        """Forget a class.

        Raises:
            InputError: there is no such class, or only one other would be left.
        """
        items = self._support().items_of(self._known(label))
        if len(self._support().classes()) <= 2:
            raise InputError(f"{label} cannot be removed: two classes are needed at least")
        return self._fitted(self.support_.relabeled(items, None, f"removed {label}"))

    def rename_class(self, label: Label, name: Label) -> "ImageClassifier":
        """Give a class another name; that of another class merges the two."""
        items = self._support().items_of(self._known(label))
        return self._fitted(self.support_.relabeled(items, plain_label(name), f"renamed {label} to {name}"))

    def correct(self, image: Any, label: Label) -> "ImageClassifier":
        """Learn the right label of one image; an image that the model has already gets this label.

        Raises:
            InputError: the image cannot be read.
        """
        self._support()
        self.notes_ = ()
        new = self._read([image], [label])
        item = self.support_.item_with(new.digests[0])
        if item is None:
            return self._fitted(self.support_.added(new, f"corrected {new.names[0]} to {label}"))
        return self._fitted(self.support_.relabeled([item], plain_label(label), f"corrected {self.support_.names[item]} to {label}"))

    def undo(self) -> "ImageClassifier":
        """Take back the last change since `fit`.

        Raises:
            InputError: there is none.
        """
        if not self._support().changes:
            raise InputError("there is no change to undo")
        return self._fitted(self.support_.undone())

    def without_thumbnails(self) -> "ImageClassifier":
        """The same model without the small copies of its labeled images."""
        bare = copy(self)
        bare.support_ = replace(self._support(), thumbnails=(b"",) * len(self.support_))
        return bare

    # Answers

    def predict(self, X: Any) -> np.ndarray:
        """The class of each image, None for "none of these" (see `unknown`)."""
        return self.answers(X).labels()

    def predict_proba(self, X: Any) -> Float64[np.ndarray, "image class"]:
        """Calibrated probability of each class, in the order of `classes_`, given that the image is of one of them."""
        return self.answers(X).probabilities

    def predict_set(self, X: Any, coverage: float = 0.95) -> list[tuple[Label, ...]]:
        """For each image the classes that it may be, the most probable first, so that the right one is among them with this probability.

        A conformal set: the probability holds on average over images of your classes (Vovk et al., 2005; Sadinle et al., 2019).

        Raises:
            InputError: coverage is not above 0 and below 1.
        """
        return self.sets(self.answers(X).probabilities, coverage)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Fraction of images whose class is right; one turned away counts as wrong, unless its label in `y` is None."""
        if y is None:
            source = labeled_images(X)
            X, y = source.images, source.labels
        truth = np.array([None if label is None else plain_label(label) for label in np.asarray(y, dtype=object)], dtype=object)
        right = np.array([said == true for said, true in zip(self.predict(X), truth, strict=True)])
        return float(np.average(right, weights=sample_weight))

    def answers(self, X: Any) -> Answers:
        """Probabilities and "none of these" of images, or of features where the backbone is `features`.

        Raises:
            InputError: an image cannot be read; it is named. `feature_batches` goes on in that case.
        """
        self._support()
        if self.backbone == FEATURES:
            return self.answers_of(feature_rows(X, self.support_.features.shape[1]))
        batches = list(self.feature_batches(as_items(X)))
        for batch in batches:
            for image in batch.images:
                if image.reason:
                    raise InputError(image.reason)
        return self.answers_of(torch.cat([batch.features for batch in batches]))

    def answers_of(self, features: Float32[Tensor, "image dim"]) -> Answers:
        """The same of features."""
        queries = self.query_scores(features)
        return Answers(
            probabilities=self.calibration_.probabilities(queries.scores).numpy(),
            classes=tuple(self.classes_.tolist()),
            unknown=self.calibration_.unknown(queries, self.unknown).numpy(),
        )

    def sets(self, probabilities: Float64[np.ndarray, "image class"], coverage: float = 0.95) -> list[tuple[Label, ...]]:
        """Conformal sets of probabilities; see `predict_set`."""
        real_number("coverage", coverage, lambda value: 0 < value < 1, "above 0 and below 1")
        members = self.calibration_.sets(torch.from_numpy(probabilities), coverage).numpy()
        order = (-probabilities).argsort(axis=-1, kind="stable")
        classes = self.classes_.tolist()
        return [tuple(classes[way] for way in row if inside[way]) for row, inside in zip(order, members, strict=True)]

    def feature_batches(self, images: Iterable[Any], *, keep: bool = False) -> Iterator[FeatureBatch]:
        """Features of a stream of images of any length, batch by batch; see `s2m2.recognition.reading`."""
        return feature_batches(images, self.extractor(), batch_size=self.batch_size, keep=keep)

    def predict_batch(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Predictions of a batch of Ray Data, images under `image`; see `s2m2.recognition.bulk.predict_batch`."""
        from s2m2.recognition.bulk import predict_batch

        return predict_batch(self, batch)

    def extractor(self) -> Extractor:
        """The backbone with its preprocessing, loaded at the first use."""
        if self._extractor is None:
            device = device_argument("device", self.device or ("cuda" if torch.cuda.is_available() else "cpu"))
            extractor = extractor_for(self.backbone)
            if self._saved_fingerprint not in (None, extractor.fingerprint):
                raise InputError(f"backbone {self.backbone} is not the one that this model was fitted with; fit it again")
            self._extractor = extractor.to(device)
        return self._extractor

    def report(self) -> "FitReport":
        """How good the model will be on its classes, from labeled images that are each named by a classifier fitted without it: accuracy
        with an interval, confused classes, likely wrong labels and near-duplicates, and what to do next.

        Example:
            >>> print(model.report().text())
            >>> model.report().to_html("birds.html")
        """
        self._support()
        from s2m2.recognition.report import fit_report

        return fit_report(self)

    def left_out(self) -> LeftOut | None:
        """Labeled images scored without themselves, from the fit, or again for a saved model; None: every class has one image."""
        if self._left_out is None:
            support = self._support()
            numbers = {label: way for way, label in enumerate(support.classes())}
            ways = torch.tensor([numbers[label] for label in support.labels if label is not None])
            with one_thread():
                self._left_out = leave_out(support.features[support.active], ways, self.classifier_, self.random_state)
        return self._left_out

    # Keeping

    def save(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write the model as a folder of safetensors, JSON and a card; nothing is pickled. It holds small copies of the labeled images.

        Raises:
            InputError: the folder holds something already, or cannot be written.
        """
        self._support()
        save_model(self, path_argument("folder", folder), overwrite=overwrite)

    @classmethod
    def load(cls, folder: str | Path, *, device: str | None = None) -> "ImageClassifier":
        """A saved model. The backbone is read when it is first used.

        Raises:
            InputError: there is no model, it is of a newer version, or a file is missing or damaged.
        """
        saved = read_model(path_argument("folder", folder))
        model = cls(**saved.settings, reference=saved.reference, device=device)
        model._saved_fingerprint = saved.fingerprint
        model.notes_ = saved.notes
        return model._fitted(saved.support, saved.calibration)

    def save_pretrained(self, save_directory: str | Path) -> None:
        """`save`, under the name that Hugging Face's libraries use; replaces a model that is there."""
        self.save(save_directory, overwrite=True)

    @classmethod
    def from_pretrained(cls, name: str, *, revision: str | None = None, device: str | None = None) -> "ImageClassifier":
        """`load` of a folder, or of a repository on the Hugging Face hub."""
        return cls.load(name if Path(name).expanduser().is_dir() else download_model(name, revision), device=device)

    def push_to_hub(self, repo_id: str, *, private: bool = True, thumbnails: bool = False) -> str:
        """Upload the model to the Hugging Face hub and return its address; without the small copies of your images unless asked for."""
        self._support()
        return upload_model(self, repo_id, private=private, thumbnails=thumbnails)

    def export_onnx(self, path: str | Path) -> None:
        """Write one ONNX file: input `image`, uint8 RGB "height width 3" of any size; outputs `probabilities` and `familiarity`.

        Classes and thresholds are in its metadata. `docs/predict_onnx.py` uses it without torch. Needs the extra `onnx`.

        Raises:
            InputError: the classifier or backbone cannot be exported, or the file's probabilities are not those of `predict_proba`.
        """
        from s2m2.recognition.onnx_export import export_onnx

        self._support()
        export_onnx(self, path_argument("path", path))

    # Inside

    def _validate(self) -> None:
        real_number("unknown", self.unknown, lambda value: 0 <= value < 1, "at least 0 and below 1")
        whole_number("batch_size", self.batch_size, least=1)
        whole_number("random_state", self.random_state)
        self._build()

    def _build(self, items: int = 0) -> FewShotClassifier:
        automatic = AUTOMATIC if items <= MAX_COSINE_ITEMS else "cosine_centroid"
        built_from = automatic if isinstance(self.classifier, str) and self.classifier == "auto" else self.classifier
        built = build_classifier(built_from, seed=self.random_state)
        if built.transductive:
            raise InputError(f"classifier {built.name} looks at all images together; an inductive one is needed, such as cosine")
        return built

    def _read(self, X: Any, y: Any) -> Support:
        """Labeled images with features; unreadable and repeated ones are left out and noted."""
        if self.backbone == FEATURES:
            return _support_of_features(X, y)
        source = labeled_images(X, y)
        self.notes_ += source.notes
        batches = list(self.feature_batches(source.images, keep=True))
        images = [image for batch in batches for image in batch.images]
        if skipped := [image.reason for image in images if image.reason]:
            self.notes_ += (skipped_note(skipped),)
        readable = [(image, label) for image, label in zip(images, source.labels, strict=True) if not image.reason]
        if lost := sort_labels(set(source.labels) - {label for _, label in readable}):
            reason = next(image.reason for image, label in zip(images, source.labels, strict=True) if label == lost[0])
            raise InputError(f"class {lost[0]} has no image that can be read: {reason}")
        support = Support(
            features=torch.cat([batch.features for batch in batches]),
            labels=tuple(label for _, label in readable),
            names=tuple(image.name for image, _ in readable),
            digests=tuple(image.digest for image, _ in readable),
            thumbnails=tuple(image.thumbnail for image, _ in readable),
        )
        return self._distinct(support)

    def _distinct(self, support: Support) -> Support:
        first: dict[str, int] = {}
        for item, digest in enumerate(support.digests):
            other = first.setdefault(digest, item)
            if support.labels[other] != support.labels[item]:
                names = f"{support.names[other]} ({support.labels[other]}) and {support.names[item]} ({support.labels[item]})"
                raise InputError(f"{names} are the same image with different labels; keep the right one")
        if len(first) < len(support):
            self.notes_ += (f"{count(len(support) - len(first), 'image')} left out, as the same image is there already",)
        return support.take(sorted(first.values()))

    def _fitted(self, support: Support, calibration: Calibration | None = None) -> "ImageClassifier":
        """With another support: fit the classifier and calibrate. Nothing changes if that fails.

        Args:
            calibration: of a saved model; None: a new one.
        """
        labels = [support.labels[item] for item in support.active]
        classes = support.classes()
        if len(classes) < 2:
            raise InputError("this would leave one class only; two are needed at least")
        numbers = {label: way for way, label in enumerate(classes)}
        features, ways = support.features[support.active], [numbers[label] for label in labels if label is not None]
        built, reference = self._build(len(ways)), self._reference() if calibration is None else None
        left_out: LeftOut | None = None
        with one_thread():  # thousands of small operations
            built.fit(features, np.array(ways))
            if calibration is None:
                left_out = leave_out(features, torch.tensor(ways), built, self.random_state)
                calibration = calibrate(torch.bincount(torch.tensor(ways)), built, reference, left_out, self.random_state)
        self.support_, self.classifier_, self.calibration_, self._left_out = support, built, calibration, left_out
        self.classes_ = np.array(classes, dtype=int if all(isinstance(label, int) for label in classes) else object)
        return self

    def _reference(self) -> Reference | None:
        if not self._has_reference:
            extractor = None if self.backbone == FEATURES else self.extractor()
            self._reference_set, self._has_reference = reference_for(self.reference, extractor, self.batch_size), True
        return self._reference_set

    def own_reference(self) -> Reference | None:
        """The reference to save with the model: None where it comes with the backbone, or there is none."""
        return None if self.backbone == EMBEDDED and self.reference is None else self._reference()

    def query_scores(self, features: Float32[Tensor, "image dim"]) -> QueryScores:
        """Scores of features before calibration, and how close they are to the classes."""
        scores = self.classifier_.query_scores(features).double()
        return QueryScores(scores=scores, closeness=closeness(replace(self.classifier_.support_, query=features[None]))[0])

    def _support(self) -> Support:
        if not hasattr(self, "support_"):
            raise NotFittedError("this ImageClassifier is not fitted yet; call fit with labeled images first")
        return self.support_

    def _known(self, label: Label) -> Label:
        if label not in self._support().classes():
            raise InputError(f"there is no class {label}; there are {', '.join(map(str, self.support_.classes()))}")
        return label


def feature_rows(values: Any, dim: int | None = None) -> Float32[Tensor, "image dim"]:
    """Features of a user's own.

    Raises:
        InputError: they are no table of finite numbers, or have another dimension than the model's.
    """
    array = values.detach().cpu().float().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.number) or not len(array):
        raise InputError(f"X must hold features image x dim where the backbone is {FEATURES}, but has shape {array.shape}")
    if dim is not None and array.shape[1] != dim:
        raise InputError(f"X has {array.shape[1]} features an image, but the model was fitted to {dim}")
    if not np.isfinite(array).all():
        raise InputError("X has features that are not finite")
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def _support_of_features(X: Any, y: Any) -> Support:
    features, labels = feature_rows(X), plain_labels(y)
    if len(labels) != len(features):
        raise InputError(f"y has {len(labels):,} labels, but X has {len(features):,} rows")
    return Support(
        features=features,
        labels=labels,
        names=tuple(f"X[{row}]" for row in range(len(labels))),
        digests=tuple(hashlib.sha256(row.numpy().tobytes()).hexdigest() for row in features),
        thumbnails=(b"",) * len(labels),
    )

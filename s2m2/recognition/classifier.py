"""`ImageClassifier`: names images after a few labeled ones of each class, with probabilities, sets, and "none of these"."""
# ruff: noqa: N803, N806 (scikit-learn's names)

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float32, Float64
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from torch import Tensor

from s2m2.arguments import device_argument, path_argument, real_number, whole_number
from s2m2.classifiers.base import FewShotClassifier
from s2m2.console import count, first_named
from s2m2.errors import InputError, did_you_mean
from s2m2.io import expanded
from s2m2.recognition.automatic import MANY_NOTE, MAX_COSINE_ITEMS, automatic, build_inductive, is_automatic
from s2m2.recognition.calibrating import Calibration
from s2m2.recognition.class_names import KnownLabels, Label, matched_labels
from s2m2.recognition.extractors import EMBEDDED, FEATURES, Extractor, extractor_for
from s2m2.recognition.fitted import Answers, Fitted, fit_and_calibrate, fit_calibrated
from s2m2.recognition.labeled import feature_rows, read_labeled, support_of_features, without_paths
from s2m2.recognition.leaving_out import LeftOut, QueryScores
from s2m2.recognition.opening import read_model
from s2m2.recognition.read_ahead import FeatureBatch, as_items, feature_batches
from s2m2.recognition.reference import Reference, reference_for
from s2m2.recognition.saving import MODEL, download_model, save_model, upload_model
from s2m2.recognition.sources import labeled_images, plain_label
from s2m2.recognition.support import Support

if TYPE_CHECKING:
    from s2m2.recognition.report import FitReport


class ImageClassifier(ClassifierMixin, BaseEstimator):
    """Names images after a few labeled ones of each class. Follows scikit-learn's conventions, on images in place of features.

    Args:
        backbone: frozen network that gives the features: `efficientnet_lite0` (embedded, needs no download), `timm:MODEL`,
            `timm:MODEL:FILE.safetensors`, the directory of a run or an export, the name of weights in the repository, or `features`
            where X holds features of your own.
        classifier: an inductive few-shot classifier on the features: a name, a mapping with settings, or an instance. auto: `cosine` of
            S2M2 with a scale of 10; for more than 1,000 images, which it takes too long to fit to, `cosine_centroid`.
        unknown: fraction of images of your classes that may be turned away as "none of these"; 0 turns none away.
        reference: images of other classes than yours, from which probabilities and thresholds are calibrated: a folder of class folders
            or a csv list, or a pair of features and labels. None: those that come with the embedded backbone, or the validation
            classes of a run.
        batch_size: images in one pass of the network.
        device: where the network runs, such as `cuda`; None: a GPU if there is one.
        random_state: seed of the classifier and of the calibration.

    Attributes after `fit`: `classes_`, `support_` (labeled images), `classifier_` and `calibration_`, which are parts of `fitted_`, and
    `notes_` (what was left out, in sentences).

    Example:
        >>> model = s2m2.ImageClassifier().fit("birds/")
        >>> model.predict(["a.jpg", "b.jpg"])
        array(['Barn Swallow', None], dtype=object)
    """

    fitted_: Fitted
    _extractor: Extractor | None = None
    _has_reference = False
    _reference_set: Reference | None = None
    _saved_fingerprint: str | None = None
    _automatic: Mapping[str, Any] | None = None
    """What `auto` stood for when the model was saved."""
    _loaded_for: tuple[Any, ...] | None = None
    """Parameters that the extractor and the reference were made for."""

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
        self._forget_outdated()
        self.notes_: tuple[str, ...] = ()
        support = self._read(X, y)
        if len(support.classes()) < 2:
            found = f"one class only, {support.classes()[0]}" if support.classes() else "no readable image"
            raise InputError(f"there is {found}; two classes are needed at least, each in a folder or with a label of its own")
        return self.fit_support(replace(support, changes=()))

    def partial_fit(self, X: Any, y: Any = None) -> "ImageClassifier":
        """Add labeled images, of new classes or of those that there are. Only the new images pass through the backbone."""
        if not hasattr(self, "fitted_"):
            return self.fit(X, y)
        self.notes_ = ()
        new = self._read(X, y, self.classes_.tolist())
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
        return self.fit_support(self.support_.added(new, f"added {count(len(fresh), 'image')} of {what}"))

    def remove_class(self, label: Label) -> "ImageClassifier":
        """Forget a class.

        Raises:
            InputError: there is no such class, or only one other would be left.
        """
        items = self.support_.items_of(self._known(label))
        if len(self.support_.classes()) <= 2:
            raise InputError(f"{label} cannot be removed: two classes are needed at least")
        return self.fit_support(self.support_.relabeled(items, None, f"removed {label}"))

    def rename_class(self, label: Label, name: Label) -> "ImageClassifier":
        """Give a class another name; that of another class merges the two."""
        items = self.support_.items_of(self._known(label))
        (other,) = matched_labels([plain_label(name)])
        return self.fit_support(self.support_.relabeled(items, other, f"renamed {label} to {name}"))

    def correct(self, image: Any, label: Label) -> "ImageClassifier":
        """Learn the right label of one image; an image that the model has already gets this label.

        Raises:
            InputError: the image cannot be read.
        """
        self._model()
        self.notes_ = ()
        new = self._read([image], [label], self.classes_.tolist())
        item = self.support_.item_with(new.digests[0])
        if item is None:
            return self.fit_support(self.support_.added(new, f"corrected {new.names[0]} to {label}"))
        return self.fit_support(self.support_.relabeled([item], new.labels[0], f"corrected {self.support_.names[item]} to {label}"))

    def undo(self) -> "ImageClassifier":
        """Take back the last change since `fit`.

        Raises:
            InputError: there is none.
        """
        if not self.support_.changes:
            raise InputError("there is no change to undo")
        return self.fit_support(self.support_.undone())

    def purge(self) -> "ImageClassifier":
        """Forget for good: images that were taken out, and all changes, which cannot be undone any more. `save` then writes neither."""
        support = self.support_
        self.fitted_ = replace(self.fitted_, support=support.take(support.active))
        return self

    def for_others(self, *, thumbnails: bool = False) -> "ImageClassifier":
        """The same model without names of files, images that were taken out, and, unless asked for, small copies of images."""
        public = copy(self)
        support = self.support_.take(self.support_.active)
        names = tuple(f"image {number}" for number in range(1, len(support) + 1))
        kept = support.thumbnails if thumbnails else (b"",) * len(support)
        public.fitted_ = replace(self.fitted_, support=replace(support, names=names, thumbnails=kept))
        public.notes_ = tuple(note for note in map(without_paths, self.notes_) if note)
        return public

    # What is fitted

    @property
    def support_(self) -> Support:
        """The labeled images."""
        return self._model().support

    @property
    def classifier_(self) -> FewShotClassifier:
        """The fitted few-shot classifier."""
        return self._model().classifier

    @property
    def calibration_(self) -> Calibration:
        """What scores are worth."""
        return self._model().calibration

    @property
    def classes_(self) -> np.ndarray:
        """The classes, sorted: whole numbers, else objects."""
        classes = self._model().classes
        return np.array(classes, dtype=int if all(isinstance(label, int) for label in classes) else object)

    # Answers

    def predict(self, X: Any) -> np.ndarray:
        """The class of each image, None for "none of these" (see `unknown`)."""
        return self.answers(X).labels()

    def predict_proba(self, X: Any) -> Float64[np.ndarray, "image class"]:
        """Calibrated probability of each class, in the order of `classes_`, given that the image is of one of them."""
        return self.answers(X).probabilities

    def predict_set(self, X: Any, coverage: float = 0.95) -> list[tuple[Label, ...]]:
        """For each image the classes that it may be, the most probable first, so that about this fraction of sets has the right one.

        A conformal set (Vovk et al., 2005; Sadinle et al., 2019), which holds as far as your classes are like those of the reference;
        docs/own_classes.md has what was measured.

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
        self._model()
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
        return self._model().answers(features, self.unknown)

    def sets(self, probabilities: Float64[np.ndarray, "image class"], coverage: float = 0.95) -> list[tuple[Label, ...]]:
        """Conformal sets of probabilities; see `predict_set`."""
        real_number("coverage", coverage, lambda value: 0 < value < 1, "above 0 and below 1")
        return self._model().sets(probabilities, coverage)

    def feature_batches(self, images: Iterable[Any], *, keep: bool = False) -> Iterator[FeatureBatch]:
        """Features of a stream of images of any length, batch by batch; see `s2m2.recognition.read_ahead`."""
        return feature_batches(images, self.extractor(), batch_size=self.batch_size, keep=keep)

    def predict_batch(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Predictions of a batch of Ray Data, images under `image`; see `s2m2.recognition.bulk.predict_batch`."""
        from s2m2.recognition.bulk import predict_batch

        return predict_batch(self, batch)

    def extractor(self) -> Extractor:
        """The backbone with its preprocessing, loaded at the first use."""
        if self._extractor is None:
            self._loaded_for = self._loaded_for or self._made_from()
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
        self._model()
        from s2m2.recognition.report import fit_report

        return fit_report(self)

    def left_out(self) -> LeftOut | None:
        """Labeled images scored without themselves, from the fit, or again for a saved model; None: every class has one image."""
        return self._model().left_out

    # Keeping

    def save(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write the model as a folder of safetensors, JSON and a card; nothing is pickled. It holds small copies of the labeled images.

        Raises:
            InputError: the folder holds something already, or cannot be written.
        """
        self._model()
        save_model(self, path_argument("folder", folder), overwrite=overwrite)

    @classmethod
    def load(cls, folder: str | Path, *, device: str | None = None, trust_code: bool = False) -> "ImageClassifier":
        """A saved model. The backbone is read when it is first used. Opening a model runs no code of others.

        Args:
            trust_code: allow a model whose classifier or backbone is code outside s2m2. That code runs, so trust who made the model.

        Raises:
            InputError: there is no model, it is of a newer version, a file is missing or damaged, or it needs `trust_code`.
        """
        path = path_argument("folder", folder)
        saved = read_model(path, trust_code=trust_code)
        model = cls(**saved.settings, reference=saved.reference, device=device)
        chosen = saved.settings["classifier"]
        if saved.automatic and is_automatic(chosen):
            model.classifier, model._automatic = "auto", chosen
        model._saved_fingerprint, model._loaded_for = saved.fingerprint, model._made_from()
        model.notes_ = saved.notes
        try:
            model._validate()
            return model.fit_support(saved.support, saved.calibration)
        except (InputError, TypeError) as error:
            raise InputError(f"{path / MODEL} is damaged: {' '.join(str(error).split())}") from error

    def save_pretrained(self, save_directory: str | Path) -> None:
        """`save`, under the name that Hugging Face's libraries use; replaces a model that is there."""
        self.save(save_directory, overwrite=True)

    @classmethod
    def from_pretrained(
        cls, name: str, *, revision: str | None = None, device: str | None = None, trust_code: bool = False
    ) -> "ImageClassifier":
        """`load` of a folder, or of a repository on the Hugging Face hub."""
        folder = name if expanded(name).is_dir() else download_model(name, revision)
        return cls.load(folder, device=device, trust_code=trust_code)

    def push_to_hub(self, repo_id: str, *, private: bool = True, thumbnails: bool = False) -> str:
        """Upload the model to the Hugging Face hub and return its address.

        Names of your files and removed images stay here, and so do the small copies of your images unless asked for.
        """
        self._model()
        return upload_model(self, repo_id, private=private, thumbnails=thumbnails)

    def export_onnx(self, path: str | Path) -> None:
        """Write one ONNX file: input `image`, uint8 RGB "height width 3" of any size; outputs `probabilities` and `familiarity`.

        Classes and thresholds are in its metadata. `docs/predict_onnx.py` uses it without torch. Needs the extra `onnx`.

        Raises:
            InputError: the classifier or backbone cannot be exported, or the file's probabilities are not those of `predict_proba`.
        """
        from s2m2.recognition.onnx_export import export_onnx

        self._model()
        export_onnx(self, path_argument("path", path))

    # Inside

    def _validate(self) -> None:
        real_number("unknown", self.unknown, lambda value: 0 <= value < 1, "at least 0 and below 1")
        whole_number("batch_size", self.batch_size, least=1)
        whole_number("random_state", self.random_state)
        self._build()

    def _build(self, items: int = 0) -> FewShotClassifier:
        return build_inductive(automatic(items, self._automatic) if self._is_automatic() else self.classifier, self.random_state)

    def _is_automatic(self) -> bool:
        return isinstance(self.classifier, str) and self.classifier == "auto"

    def _made_from(self) -> tuple[Any, ...]:
        return str(self.backbone), self.device, self.reference

    def _forget_outdated(self) -> None:
        """Before a fit: what was made for other parameters, which `set_params` may have changed, is made again."""
        self._saved_fingerprint = self._automatic = None
        made, now = self._loaded_for or self._made_from(), self._made_from()
        if made[:2] != now[:2]:
            self._extractor = None
        if made[:2] != now[:2] or made[2] is not now[2]:
            self._reference_set, self._has_reference = None, False
        self._loaded_for = now

    def _read(self, X: Any, y: Any, known: Sequence[Label] = ()) -> Support:
        """Labeled images with features; what was left out is noted.

        Args:
            known: classes that the model has.
        """
        if self.backbone == FEATURES:
            return support_of_features(X, y, known)
        support, notes = read_labeled(X, y, known, lambda images: self.feature_batches(images, keep=True))
        self.notes_ += notes
        return support

    def fit_support(self, support: Support, calibration: Calibration | None = None) -> "ImageClassifier":
        """Take other labeled images: fit the classifier and calibrate. Nothing changes if that fails.

        Args:
            calibration: of a saved model; None: a new one.
        """
        support.check_classes()
        number = len(support.active)
        built = self._build(number)
        if calibration is None:
            self.fitted_ = fit_and_calibrate(support, built, self._reference(), self.random_state)
            if self._is_automatic() and number > MAX_COSINE_ITEMS and MANY_NOTE not in self.notes_:
                self.notes_ += (MANY_NOTE,)
        else:
            self.fitted_ = fit_calibrated(support, built, calibration, self.random_state)
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
        return self._model().query_scores(features)

    def _model(self) -> Fitted:
        if not hasattr(self, "fitted_"):
            raise NotFittedError("this ImageClassifier is not fitted yet; call fit with labeled images first")
        return self.fitted_

    def _known(self, label: Label) -> Label:
        classes = self.support_.classes()
        known = KnownLabels(classes).find(str(label))
        if known is None:
            names = [str(own) for own in classes]
            raise InputError(f"there is no class {label}{did_you_mean(str(label), names) or f'; there are {first_named(names)}'}")
        return known

"""What every few-shot classifier is: a scikit-learn estimator on features that also scores a whole batch of tasks in one call."""
# ruff: noqa: N803, N806 (scikit-learn's names)

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from s2m2.arguments import described
from s2m2.classifiers.base_statistics import check_base_dim
from s2m2.classifiers.finite import check_features, check_scores, naming_the_cause
from s2m2.classifiers.settings import check_settings, setting_names
from s2m2.errors import InputError
from s2m2.random import generator_for
from s2m2.tasks.labels import as_array, label_array

RandomState = int | np.random.RandomState | np.random.Generator | None
"""What `random_state` may be, by scikit-learn's convention; see `seed_from`."""
BLOCKS = 4
"""Blocks of tasks that one thread computes at once, by default: about a thousand tasks."""
MAX_GATHER = 2**26
"""Feature values that a part of a block may hold: 256 MB of float32."""
MAX_ONE_HOT = 2**24
"""Values of the one-hot matrix of a task; of more, as of thousands of classes, class means are sums by index."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FewShotTasks:
    """Tasks of one size: labeled support features, and the features of queries.

    Raises:
        InputError: `labels` are not what `ways` and `shots` say.
    """

    support: Float[Tensor, "task item dim"]
    labels: Int64[Tensor, "task item"]
    """Way of each support item, from 0; every way has one item at least. In order of the ways where `shots` is a number: 0 0 1 1 2 2."""
    query: Float[Tensor, "task query dim"]
    ways: int
    shots: int | None
    """Support items of every way; None: they differ between ways, or are in any order."""
    keys: Int64[Tensor, " task"] | None = None
    """Key of each task, from which all its random numbers follow (`task_streams`). None: sampled by whoever needs them."""

    def __post_init__(self) -> None:
        ways = torch.arange(self.ways, device=self.labels.device)
        if self.shots is None:
            large = self.labels.shape[1] * self.ways > MAX_ONE_HOT
            named = [torch.isin(ways, labels) for labels in self.labels] if large else [(self.labels[..., None] == ways).any(1)]
            if not all(bool(one.all()) for one in named):
                raise InputError(f"labels must name each of the {self.ways} ways in every task")
        elif self.labels.shape[1] != self.ways * self.shots or not torch.equal(
            self.labels, ways.repeat_interleave(self.shots).expand_as(self.labels)
        ):
            raise InputError(
                f"labels must be 0 to {self.ways - 1} in order, {self.shots} of each, as ways and shots say; shots=None takes any order"
            )

    def __len__(self) -> int:
        return len(self.support)

    def random_keys(self, generator: torch.Generator) -> Int64[Tensor, " task"]:
        """The keys of the tasks; where they have none, one for each from the generator, on the device of the features."""
        if self.keys is not None:
            return self.keys
        sampled = torch.randint(2**63 - 1, (len(self),), generator=generator, device=generator.device)
        return sampled.to(self.support.device)

    def one_hot(self) -> Float[Tensor, "task way item"]:
        """1 where an item belongs to a way, else 0."""
        return F.one_hot(self.labels, self.ways).mT.to(self.support.dtype)

    def class_means(self) -> Float[Tensor, "task way dim"]:
        """Mean support feature of each way."""
        if self.shots is not None:
            return self.support.unflatten(1, (self.ways, self.shots)).mean(2)
        if self.labels.shape[1] * self.ways > MAX_ONE_HOT:
            sums = self.support.new_zeros(len(self), self.ways, self.support.shape[-1])
            sums.scatter_add_(1, self.labels[..., None].expand_as(self.support), self.support)
            counts = self.support.new_zeros(len(self), self.ways).scatter_add_(1, self.labels, torch.ones_like(self.support[..., 0]))
            return sums / counts[..., None]
        members = self.one_hot()
        return members / members.sum(-1, keepdim=True) @ self.support


@dataclass(frozen=True, kw_only=True)
class JobSize:
    """How many tasks one thread takes on, and how many of them a classifier computes at once."""

    blocks: int = BLOCKS
    """Blocks of tasks in one job."""
    max_gather: int = MAX_GATHER
    """Feature values that the classifier computes on at once, at most."""


ONE_PRODUCT = JobSize(blocks=1, max_gather=2**23)
"""For classifiers that are little more than one matrix product: the features then about fit a processor's cache."""
MANY_STEPS = JobSize(blocks=1, max_gather=2**22)
"""For classifiers of many steps: enough tasks that a step's arithmetic outweighs its calls, few enough that memory stays small."""
SMALL_STEPS = JobSize(blocks=1, max_gather=2**23)
"""For classifiers whose steps are tens of calls on a few values a task: threads side by side wait for the interpreter at each call."""
WHOLE_GPU = JobSize(max_gather=2**27)
"""On a GPU an operation takes as long for some hundred tasks as for one, so deterministic classifiers get 512 MB of features at once."""


@runtime_checkable
class ScoresTasks(Protocol):
    """What the evaluation calls: any `FewShotClassifier`, or a function of this signature.

    Entry c of the last axis of the scores is way c of a task; the largest is the prediction, and the softmax of the scores is the
    probability. Each task is scored by itself. Its random numbers follow from its key in `tasks.keys`, or, of tasks without keys, come
    from `generator`, in such an order that the first tasks of a batch get the same scores however many follow. The features stay as they
    are.

    The evaluation gives keys: they are a function of its seed, the classifier's name and the task's position, so that neither jobs nor
    threads, device or number of tasks change a score, and tasks are independent. Its generator is one for a whole job; who samples from
    it sees to it that no two tasks get the same numbers.
    """

    def __call__(self, tasks: FewShotTasks, generator: torch.Generator) -> Float[Tensor, "task query way"]:
        """Scores of the queries, one for each way of their task."""
        ...


@runtime_checkable
class FittedTasks(Protocol):
    """Inductive classifiers after their fit to the support of a batch of tasks."""

    def scores(self, query: Float[Tensor, "task query dim"]) -> Float[Tensor, "task query way"]:
        """Scores of queries, each by itself."""
        ...


class InputTypeError(InputError, TypeError):
    """An `InputError` that is a TypeError too, where scikit-learn's checks of estimators ask for one."""


class FewShotClassifier(ClassifierMixin, BaseEstimator, ABC):
    """A few-shot classifier. Constructor parameters are its settings, keyword-only, checked by `validate` and by `fit`.

    Two ways to use it, with the same code below: as a scikit-learn estimator for one task, `fit(X, y).predict(queries)`, and called
    with a batch of tasks, which is how the evaluation scores thousands of them. Write one's own as a subclass of `InductiveClassifier`
    or `TransductiveClassifier`.

    Attributes after `fit`: `classes_`, `n_features_in_`, and `support_`, the support as a batch of one task.
    """

    name: ClassVar[str]
    """Name in recipes, results and random streams."""
    title: ClassVar[str]
    """Name in tables and plots."""
    transductive: ClassVar[bool] = False
    """It looks at all queries of a task together."""
    needs_base: ClassVar[bool] = False
    """It takes statistics of the base classes, as its constructor parameter `base`."""
    needs_covariances: ClassVar[bool] = False
    """These statistics are to include covariances."""
    samples: ClassVar[bool] = False
    """It samples from the generator of a call itself, not by the keys of tasks; a call must therefore be of the same tasks on every
    device. None of this package does."""
    job: ClassVar[JobSize] = JobSize()
    """Size of its jobs on a CPU, where each thread has a job of its own."""

    @abstractmethod
    def __call__(self, tasks: FewShotTasks, generator: torch.Generator) -> Float[Tensor, "task query way"]:
        """Scores of the queries of a batch of tasks; see `ScoresTasks`."""

    def assumes_balance(self) -> bool:
        """Whether it assumes, with these settings, equally many queries of every class."""
        return False

    def needs_positive(self) -> bool:
        """Whether it takes a power of the features, with these settings, so that none may be negative."""
        return False

    def settings(self) -> dict[str, Any]:
        """What shapes its scores, as plain values that results keep."""
        return {name: getattr(self, name) for name in setting_names(type(self))}

    def job_on(self, device: torch.device) -> JobSize:
        """Size of its jobs on a device."""
        return self.job if self.samples or device.type == "cpu" else WHOLE_GPU

    def validate(self) -> None:
        """Check the settings.

        Raises:
            InputError: a setting has another type or is out of range.
        """
        settings = {name: getattr(self, name) for name in setting_names(type(self))}
        check_settings(self.name, type(self), settings)
        check_random_state(f"{self.name}.random_state", getattr(self, "random_state", 0))

    def fit(self, X: Any, y: Any) -> "FewShotClassifier":
        """Fit to the support of one task.

        Args:
            X: features "item dim", an array or a tensor.
            y: a label for each, whole numbers or text, two different ones at least; classes may have different numbers of items.

        Raises:
            InputError: a setting is wrong, X or y is no array of the right shape and kind, X is not finite or its squares are not, or y has
            one class only.
        """
        self.validate()
        X, y = self._checked(_array(X, "X"), _array(y, "y"))
        y = label_array(y, "y")
        check_base_dim(self, X.shape[1])
        state: Any = getattr(self, "random_state", 0)
        if not isinstance(state, Integral):
            self.seed_ = seed_from(state)
        self.classes_, ways, counts = np.unique(y, return_inverse=True, return_counts=True)
        if len(counts) < 2:
            raise InputError(f"y has one class only, {self.classes_[0]}; a few-shot task needs two at least")
        order = ways.argsort(kind="stable")
        support = torch.from_numpy(X[order])[None]
        self.support_ = FewShotTasks(
            support=support,
            labels=torch.from_numpy(ways[order].astype(np.int64))[None],
            query=support[:, :0],
            ways=len(counts),
            shots=int(counts[0]) if (counts == counts[0]).all() else None,
        )
        check_features(support, "X")
        with torch.no_grad(), naming_the_cause(self, support):
            self._fit_support()
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each query "query dim"; a transductive classifier takes all queries of a task in one call."""
        scores = self.query_scores(X)
        return self.classes_[scores.argmax(-1).numpy()]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability "query class" of each class, in the order of `classes_`: the softmax of the scores."""
        return self.query_scores(X).softmax(-1).numpy()

    def query_scores(self, X: Any) -> Float[Tensor, "query way"]:
        """Scores of each query, one for each class in the order of `classes_`; their softmax are the probabilities."""
        check_is_fitted(self, "support_")
        X = self._checked(_array(X, "X"), reset=False)
        query = torch.tensor(X, dtype=self.support_.support.dtype)[None]
        check_features(query, "X")
        with torch.no_grad(), naming_the_cause(self, self.support_.support):
            scores = self._query_scores(query)
        check_scores(scores, self, self.support_.support)
        return scores[0]

    def _checked(self, *arrays: Any, reset: bool = True) -> Any:
        """X, or X and y, after scikit-learn's checks of them."""
        try:
            checked = validate_data(self, *arrays, reset=reset, dtype=(np.float64, np.float32), ensure_all_finite=False)
        except (TypeError, ValueError) as error:
            kind = InputTypeError if isinstance(error, TypeError) else InputError
            raise kind(_one_line(str(error))) from error
        _check_finite(checked[0] if len(arrays) > 1 else checked)
        return checked

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = self.needs_positive()
        return tags

    def _generator(self) -> torch.Generator:
        return generator_for(self._seed(), "fit", self.name)

    def _seed(self) -> int:
        """`random_state`, or the seed that `fit` sampled for it; 0 before."""
        state = getattr(self, "random_state", 0)
        return int(state) if isinstance(state, Integral) else getattr(self, "seed_", 0)

    @abstractmethod
    def _fit_support(self) -> None:
        """Fit to `support_`."""

    @abstractmethod
    def _query_scores(self, query: Float[Tensor, "task query dim"]) -> Float[Tensor, "task query way"]:
        """Scores of queries of the fitted task."""


class InductiveClassifier(FewShotClassifier):
    """A classifier that scores each query by itself."""

    @abstractmethod
    def fit_tasks(self, tasks: FewShotTasks, generator: torch.Generator) -> FittedTasks:
        """Fit to the support of a batch of tasks."""

    def __call__(self, tasks: FewShotTasks, generator: torch.Generator) -> Float[Tensor, "task query way"]:
        """Fit, and score the queries."""
        return self.fit_tasks(tasks, generator).scores(tasks.query)

    def _fit_support(self) -> None:
        self.fitted_ = self.fit_tasks(self.support_, self._generator())

    def _query_scores(self, query: Float[Tensor, "task query dim"]) -> Float[Tensor, "task query way"]:
        return self.fitted_.scores(query)


class TransductiveClassifier(FewShotClassifier):
    """A classifier that looks at all queries of a task together: `fit` keeps the support, and `predict` does the work.

    One call of `predict` or `predict_proba` takes all queries of the task. Other queries beside it change what is said of a query.
    """

    transductive = True

    def _fit_support(self) -> None:
        pass

    def _query_scores(self, query: Float[Tensor, "task query dim"]) -> Float[Tensor, "task query way"]:
        return self(replace(self.support_, query=query), self._generator())


def _one_line(text: str) -> str:
    """A message of scikit-learn's without the values of a long array, and with the names of the arguments."""
    text = re.sub(r"\[[^\[\]]{40,}\]", "[...]", " ".join(text.split()))
    names = "X and y" if "inconsistent" in text else "X"
    return text if re.search(r"\b[Xy]\b", text) else f"{names}: {text}"


def check_random_state(label: str, state: Any) -> None:
    """Raise `InputError` unless `random_state` is one of the kinds of `RandomState`, and no negative number."""
    whole = isinstance(state, Integral) and not isinstance(state, bool) and int(state) >= 0
    if not (whole or state is None or isinstance(state, np.random.RandomState | np.random.Generator)):
        need = "a whole number, 0 or more, a NumPy RandomState or Generator, or None"
        raise InputError(f"{label} is {described(state)}, but must be {need}")


def seed_from(state: np.random.RandomState | np.random.Generator | None) -> int:
    """A seed sampled from a NumPy generator, or for None a new one at each call, so that no two fits are the same."""
    limit = 2**31 - 1
    return int(state.randint(limit) if isinstance(state, np.random.RandomState) else np.random.default_rng(state).integers(limit))


def _array(values: Any, name: str) -> Any:
    """A tensor as an array; everything else as it is, for scikit-learn's checks."""
    return as_array(values, name) if isinstance(values, Tensor) else values


def _check_finite(X: np.ndarray) -> None:
    bad = np.flatnonzero(~np.isfinite(X).all(axis=1))
    if len(bad):
        raise InputError(f"X has a value that is NaN or inf, in row {bad[0]}")

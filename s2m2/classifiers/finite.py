"""What is not finite is an error that names its cause: features too large to compute with, and scores of extreme settings."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from s2m2.classifiers.settings import default_settings
from s2m2.errors import InputError

HEADROOM = 1e-4
"""Of the square root of the largest number, what features may reach: sums of squares over many dimensions, times a scale, stay finite."""
OVERFLOW = "without overflow"
"""What torch says of a number that the type of a tensor does not hold."""


def check_features(features: Float[Tensor, "*items dim"], what: str) -> None:
    """Raise `InputError`, with `what` in front, if features are not finite or so large that their squares are not.

    Args:
        what: such as `the features`, in the plural.
    """
    if not features.numel():
        return
    low, high = (float(value) for value in features.aminmax())
    largest, limit = max(-low, high), torch.finfo(features.dtype).max ** 0.5 * HEADROOM
    if not largest < float("inf"):  # NaN as well
        raise InputError(f"{what} have a value that is NaN or infinite")
    if largest > limit:
        raise InputError(
            f"{what} reach {largest:.3g}, but must stay within {limit:.1g}, as squares of larger ones overflow; divide them all"
        )


def scored(classifier: Any, tasks: Any, generator: torch.Generator) -> Float[Tensor, "task query way"]:
    """Scores of a batch of tasks by a classifier, all of them finite.

    Raises:
        InputError: they are not; the classifier, its settings and its features are named.
    """
    with naming_the_cause(classifier, tasks.support):
        scores: Tensor = classifier(tasks, generator)
    check_scores(scores, classifier, tasks.support)
    return scores


@contextmanager
def naming_the_cause(classifier: Any, support: Float[Tensor, "task item dim"]) -> Iterator[None]:
    """Turn errors of arithmetic, as of a matrix that holds no finite numbers, into the one of `check_scores`."""
    try:
        yield
    except (OverflowError, RuntimeError) as error:
        if isinstance(error, OverflowError | torch.linalg.LinAlgError) or OVERFLOW in str(error):  # type: ignore[attr-defined]
            raise _not_finite(classifier, support) from error
        raise


def check_scores(scores: Float[Tensor, "*tasks query way"], classifier: Any, support: Float[Tensor, "task item dim"]) -> None:
    """Raise `InputError` unless scores are finite: NaN counts as the first class, and so as chance level, without a word."""
    if not bool(scores.isfinite().all()):
        raise _not_finite(classifier, support)


def _not_finite(classifier: Any, support: Float[Tensor, "task item dim"]) -> InputError:
    name = getattr(classifier, "name", getattr(classifier, "__name__", type(classifier).__name__))
    defaults = default_settings(type(classifier)) if hasattr(classifier, "settings") else {}
    settings = {key: getattr(classifier, key) for key in defaults}
    changed = ", ".join(f"{key} {value}" for key, value in settings.items() if value != defaults[key])
    cause = f"with {changed}" if changed else "with its default settings"
    return InputError(f"classifier {name} gives scores that are not finite {cause}, on features up to {float(support.abs().max()):.3g}")

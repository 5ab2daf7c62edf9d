"""Classifiers from names, recipes, classes and instances."""

from collections.abc import Callable, Mapping
from inspect import Parameter, isclass, signature
from typing import Any, cast

from sklearn.base import clone

from s2m2.classifiers import load_class
from s2m2.classifiers.base import FewShotClassifier
from s2m2.classifiers.base_statistics import BaseStatistics
from s2m2.classifiers.settings import check_names, check_settings
from s2m2.classifiers.wrapped import WrappedEstimator
from s2m2.errors import InputError
from s2m2.recipe.parts import ClassifierSpec, parse_classifier

BALANCED = ("fixed",)
"""Protocols under which every class has equally many queries."""


def build_classifier(spec: Any, base: BaseStatistics | None = None, *, seed: int = 0) -> FewShotClassifier:
    """A checked classifier.

    Args:
        spec: a name; a mapping of name, settings and a label; a `ClassifierSpec`; `module:object`; a class; or an instance, which stays
            unchanged. Anything with `fit` and `predict_proba` will do.
        base: statistics of the base classes, for those that take them and have none yet.
        seed: `random_state` of those that have one, unless `spec` is an instance.

    Raises:
        InputError: there is no such classifier, a setting is unknown or wrong, or it lacks statistics of the base classes.
    """
    if isinstance(spec, str | Mapping | ClassifierSpec):
        parsed = parse_classifier(spec)
        loaded, name, settings = load_class(parsed.name), parsed.name, parsed.settings
    else:
        loaded, name, settings = spec, getattr(spec, "__name__", type(spec).__name__), {}
    if isclass(loaded):
        built = _instance(cast(Callable[..., Any], loaded), name, settings, seed)
    elif settings:
        raise InputError(f"classifier {name} is an object with its settings already, and takes no {', '.join(settings)}")
    else:
        built = loaded
    if not isinstance(built, FewShotClassifier):
        if not (hasattr(built, "fit") and hasattr(built, "predict_proba")):
            raise InputError(f"classifier {name} has no fit and predict_proba")
        built = WrappedEstimator(estimator=built)
    if base is not None and built.needs_base and getattr(built, "base", None) is None:
        built = clone(built).set_params(base=base)
    built.validate()
    return cast(FewShotClassifier, built)


def _instance(cls: Callable[..., Any], name: str, settings: Mapping[str, Any], seed: int) -> Any:
    parameters = signature(cls).parameters
    if issubclass(cast(type, cls), FewShotClassifier):
        settings = check_settings(name, cls, settings)
        if "random_state" in parameters:
            settings = {**settings, "random_state": seed}
    elif not any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters.values()):
        check_names(name, parameters, settings)
    try:
        return cls(**settings)
    except TypeError as error:
        raise InputError(f"classifier {name} cannot be built: {error}") from error


def balance_warning(classifier: FewShotClassifier, protocol: str | None, label: str | None = None) -> str | None:
    """What to tell a user whose tasks may break the classifier's assumption of equally many queries a class; None: nothing.

    Args:
        protocol: how the tasks are sampled; None: they come from files.
        label: of the classifier in the recipe; None: its name.
    """
    if not classifier.assumes_balance() or protocol in BALANCED:
        return None
    tasks = f"protocol {protocol} is not" if protocol is not None else "tasks of --evaluate.tasks_from may not be"
    name = label or classifier.name
    return f"{classifier.title} (classifier {name}) assumes class-balanced queries; {tasks} balanced; alpha_tim does not assume it"

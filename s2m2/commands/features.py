# shim
"""Features of a session's run."""

from s2m2.commands.session import Session
from s2m2.data.dataset import Split
from s2m2.evaluation.features import FeatureSet
from s2m2.evaluation.run_features import EXTRACTION_BATCH as EXTRACTION_BATCH
from s2m2.evaluation.run_features import RunFeatures
from s2m2.evaluation.run_features import check_ensemble as check_ensemble
from s2m2.evaluation.run_features import check_features as check_features
from s2m2.evaluation.run_features import features_label as features_label
from s2m2.recipe.evaluation import FeaturesName


def run_features(session: Session) -> RunFeatures:
    """Features of the images of a session's run."""
    return RunFeatures(recipe=session.recipe, run=session.run, datasets=session.datasets, device=session.fabric.device)


def split_features(session: Session, name: FeaturesName, split: Split | None = None) -> FeatureSet:
    """Features of a split, by default the evaluated one."""
    return run_features(session).of_split(name, split)


def task_features(session: Session, name: FeaturesName) -> FeatureSet:
    """Features for the tasks of the evaluation."""
    return run_features(session).of_tasks(name)

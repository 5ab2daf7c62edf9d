"""The validation score of the training stages, and the evaluation of a session's run."""

from functools import partial

from lightning_fabric import Fabric

from s2m2.commands.features import run_features
from s2m2.data.augment import evaluation_view
from s2m2.data.dataset import ImageDataset
from s2m2.evaluation.features import extract_features
from s2m2.evaluation.intervals import mean_and_interval
from s2m2.evaluation.results import TaskResults
from s2m2.evaluation.run_evaluation import ValidationTasks, evaluate_features_of_run
from s2m2.evaluation.run_evaluation import check_tasks as check_tasks
from s2m2.evaluation.run_evaluation import check_validation as check_validation
from s2m2.evaluation.run_features import EXTRACTION_BATCH
from s2m2.models import Backbone
from s2m2.recipe import Recipe, ValidationConfig
from s2m2.reports.images import DrawnTask
from s2m2.runs.session import Session
from s2m2.training.compiling import uncompiled
from s2m2.training.distributed import join_interleaved
from s2m2.training.loop import Score, Validate


def validator(recipe: Recipe, dataset: ImageDataset, config: ValidationConfig, fabric: Fabric) -> Validate:
    """The mean accuracy of a backbone on validation tasks, the same ones at every call.

    Every process extracts features of some of the images, so all of them have to call it; all get the score.
    """
    tasks = ValidationTasks(dataset, config, recipe.seed)
    view = partial(evaluation_view, config=recipe.data)

    def score(backbone: Backbone) -> Score:
        indices = tasks.indices[fabric.global_rank :: fabric.world_size]
        with uncompiled(recipe.runtime.compile):
            features = extract_features(backbone, dataset.image_tensor(), indices, view, batch_size=EXTRACTION_BATCH, device=fabric.device)
        if fabric.world_size > 1:
            features = join_interleaved(features.to(fabric.device), len(tasks.indices)).cpu()
        return Score(*mean_and_interval(tasks.accuracies(features, fabric.device).tolist()))

    return score


def evaluate_run(session: Session) -> tuple[list[TaskResults], DrawnTask]:
    """Score all classifiers on all kinds of tasks and features; also the first task as images."""
    evaluation, config = evaluate_features_of_run(run_features(session)), session.recipe.evaluate
    drawn = DrawnTask.from_evaluation(
        partial(session.datasets.image, config.split),
        evaluation.features,
        evaluation.example,
        classifier=evaluation.classifier,
        features=config.features[-1],
    )
    return evaluation.results, drawn

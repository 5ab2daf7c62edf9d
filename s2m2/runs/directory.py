"""`RunDirectory`: the one place that knows the file names of a run, and whose recipe the run follows."""

from dataclasses import dataclass
from pathlib import Path

from s2m2.errors import InputError
from s2m2.files import write_text
from s2m2.recipe import Recipe, differences, read_recipe, recipe_to_yaml

FREE_TO_CHANGE = ("evaluate", "analyze", "runtime")
"""Branches of the recipe that do not change what is trained, and so may differ from one call to the next."""


@dataclass(frozen=True)
class RunDirectory:
    """File names of a run."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The recipe, every setting stated."""
        return self.path / "recipe.yaml"

    @property
    def provenance(self) -> Path:
        """Versions, hardware, data and times of what was done here."""
        return self.path / "provenance.json"

    @property
    def imported(self) -> Path:
        """Where the weights of an imported run came from; other runs have none."""
        return self.path / "imported.json"

    @property
    def metrics(self) -> Path:
        """Losses and validation scores, one JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def metrics_csv(self) -> Path:
        """The same as a dataset, where it is wished."""
        return self.path / "metrics.csv"

    @property
    def loggers(self) -> Path:
        """The ids that Weights & Biases and MLflow know this run by, and the last step that each was given."""
        return self.path / "loggers.json"

    @property
    def mlflow(self) -> Path:
        """MLflow's database, where its figures go nowhere else."""
        return self.path / "mlflow.db"

    @property
    def tensorboard(self) -> Path:
        """The same as TensorBoard events."""
        return self.path / "tensorboard"

    @property
    def features(self) -> Path:
        """Cached features, named by their fingerprint."""
        return self.path / "features"

    @property
    def results(self) -> Path:
        """Few-shot results, a JSON file each."""
        return self.path / "results"

    @property
    def analysis(self) -> Path:
        """What `s2m2 analyze` measured."""
        return self.path / "analysis.json"

    @property
    def report(self) -> Path:
        """The report of the run, one self-contained page."""
        return self.path / "report.html"

    @property
    def scores_csv(self) -> Path:
        """All scores, a line each, for programs."""
        return self.path / "scores.csv"

    @property
    def scores_markdown(self) -> Path:
        """The score tables, for texts."""
        return self.path / "scores.md"

    @property
    def training_lock(self) -> Path:
        """There while a process trains."""
        return self.path / ".training.lock"

    def last(self, stage: str) -> Path:
        """The state to continue a training stage from."""
        return self.path / "checkpoints" / stage / "last.pt"

    def best(self, stage: str) -> Path:
        """The best validated weights of a training stage."""
        return self.path / "checkpoints" / stage / "best.safetensors"

    def outcome(self, stage: str) -> Path:
        """How a finished training stage ended; there once it is finished."""
        return self.path / "checkpoints" / stage / "outcome.json"


def open_run(path: Path, recipe: Recipe) -> RunDirectory:
    """Start or continue the run of a recipe in a directory.

    A run that has trained keeps the settings that shaped its weights; those of `evaluate` and `runtime` may change. An imported run
    that has not trained takes other images too, and its recipe is brought up to date.

    Raises:
        InputError: the directory holds a run of another recipe (the first setting that differs is named), or other files.
    """
    run = RunDirectory(path)
    if path.exists() and not path.is_dir():
        raise InputError(f"--run {path} is a file, not a directory")
    if run.recipe.is_file():
        kept, untrained = read_recipe(run.recipe), run.imported.is_file() and not run.metrics.is_file()
        for setting, ours, theirs in differences(recipe, kept, ignore=(*FREE_TO_CHANGE, "data") if untrained else FREE_TO_CHANGE):
            raise InputError(f"--run {path} holds a run with {setting} {theirs}, not {ours}; name another directory with --run")
        if untrained and recipe.data != kept.data:
            write_text(run.recipe, recipe_to_yaml(recipe))
    elif path.is_dir() and any(not entry.name.startswith(".") for entry in path.iterdir()):
        raise InputError(f"--run {path} is not empty and holds no run; name another directory")
    else:
        try:
            write_text(run.recipe, recipe_to_yaml(recipe))
        except OSError as error:
            raise InputError(f"--run {path} cannot be written: {error.strerror}") from error
    return run

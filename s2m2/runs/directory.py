"""`RunDirectory`: the file names of a run, its recipe, and the lock of its training."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from s2m2.errors import InputError
from s2m2.io import write_text
from s2m2.recipe import Recipe, differences, read_recipe, recipe_to_yaml
from s2m2.recipe.reading import with_checksum

FREE_TO_CHANGE = ("evaluate", "analyze", "runtime")
"""Sections of the recipe that do not affect training, and so may differ between calls."""
FREE_BEFORE_TRAINING = ("seed", "data", "pretrain", "finetune")
"""Sections that an imported run may change as well, until it is trained here."""
STAGES = ("pretrain", "finetune")
"""Training stages in their order."""

OPENING_SECONDS = 60.0


def default_path(recipe: str | Path | None = None) -> Path:
    """The run directory of a recipe file where none is named, `runs/FOLDER-NAME`; `runs/quick` without a file."""
    if recipe is None:
        return Path("runs", "quick")
    file = Path(recipe).resolve()
    return Path("runs", f"{file.parent.name}-{file.stem}")


@dataclass(frozen=True)
class RunDirectory:
    """File names of a run."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The recipe with every setting."""
        return self.path / "recipe.yaml"

    @property
    def provenance(self) -> Path:
        """Versions, hardware, data and times."""
        return self.path / "provenance.json"

    @property
    def expected(self) -> Path:
        """What to expect of the recipe, a copy of the file beside it, if there was one."""
        return self.path / "expected.json"

    @property
    def trained_images(self) -> Path:
        """Digests and classes of the datasets that training reads, from its first step on."""
        return self.path / "trained_images.json"

    @property
    def imported(self) -> Path:
        """Source of the weights of an imported or exported run; trained runs have none."""
        return self.path / "imported.json"

    @property
    def metrics(self) -> Path:
        """Losses and validation scores, one JSON object per line."""
        return self.path / "metrics.jsonl"

    @property
    def metrics_csv(self) -> Path:
        """The metrics as a table, with logger `csv`."""
        return self.path / "metrics.csv"

    @property
    def loggers(self) -> Path:
        """Ids of this run at Weights & Biases and MLflow, and the last step logged to each."""
        return self.path / "loggers.json"

    @property
    def mlflow(self) -> Path:
        """MLflow's database, without a tracking server."""
        return self.path / "mlflow.db"

    @property
    def tensorboard(self) -> Path:
        """The metrics as TensorBoard events."""
        return self.path / "tensorboard"

    @property
    def features(self) -> Path:
        """Cached features, by fingerprint."""
        return self.path / "features"

    @property
    def results(self) -> Path:
        """Few-shot results, one JSON file each."""
        return self.path / "results"

    @property
    def analysis(self) -> Path:
        """Measurements of `s2m2 analyze`."""
        return self.path / "analysis.json"

    @property
    def report(self) -> Path:
        """The report, one self-contained page."""
        return self.path / "report.html"

    @property
    def scores_csv(self) -> Path:
        """All scores, one line each, for programs."""
        return self.path / "scores.csv"

    @property
    def scores_markdown(self) -> Path:
        """The score tables, for texts."""
        return self.path / "scores.md"

    @property
    def opening_lock(self) -> Path:
        """Present while a process opens the run: of several starts at once, one decides the recipe."""
        return self.path / ".opening.lock"

    @property
    def training_lock(self) -> Path:
        """Present while a process trains."""
        return self.path / ".training.lock"

    def last(self, stage: str) -> Path:
        """The state from which a training stage resumes."""
        return self.path / "checkpoints" / stage / "last.pt"

    def best(self, stage: str) -> Path:
        """The weights of a training stage with the best validation score."""
        return self.path / "checkpoints" / stage / "best.safetensors"

    def coming(self, stage: str) -> Path:
        """New best weights, until the checkpoint that knows them is written."""
        return self.path / "checkpoints" / stage / "next.safetensors"

    def outcome(self, stage: str) -> Path:
        """The outcome of a finished training stage."""
        return self.path / "checkpoints" / stage / "outcome.json"


def require_run(run: RunDirectory) -> None:
    """Raise `InputError` unless the directory holds a run."""
    if not run.recipe.is_file():
        missing = f"it has no {run.recipe.name}" if run.path.exists() else "there is no such directory"
        raise InputError(f"--run {run.path} is no run directory: {missing}")


def write_recipe(run: RunDirectory, recipe: Recipe) -> None:
    """Write the recipe of a run, with its checksum."""
    write_text(run.recipe, with_checksum(recipe_to_yaml(recipe)))


def open_run(path: Path, recipe: Recipe, *, moved: Sequence[str] = ()) -> RunDirectory:
    """Start or continue the run of a recipe in a directory.

    A trained run keeps the settings that shaped its weights; `evaluate`, `analyze` and `runtime` may change. An imported run without
    training here keeps its network only; its recipe is updated.

    Args:
        moved: settings that may change as well, as the images are known to be those that the run is trained on; its recipe is updated.

    Raises:
        InputError: the directory holds a run of another recipe (the first different setting is named), or other files.
    """
    run = RunDirectory(path)
    if path.exists() and not path.is_dir():
        raise InputError(f"--run {path} is a file, not a directory")
    if run.recipe.is_file():
        stored, untrained = read_recipe(run.recipe), run.imported.is_file() and not run.metrics.is_file()
        changed = list(differences(recipe, stored, ignore=FREE_TO_CHANGE))
        for setting, new, old in changed:
            if setting not in moved and not (untrained and setting.split(".")[0] in FREE_BEFORE_TRAINING):
                raise InputError(f"--run {path} holds a run with {setting} {old}, not {new}; name another directory with --run")
        if changed:
            write_recipe(run, recipe if untrained else replace(stored, data=recipe.data))
    elif path.is_dir() and any(not entry.name.startswith(".") for entry in path.iterdir()):
        raise InputError(f"--run {path} is not empty and holds no run; name another directory")
    else:
        try:
            write_recipe(run, recipe)
        except OSError as error:
            raise InputError(f"--run {path} cannot be written: {error.strerror}") from error
    return run


def training_lock(run: RunDirectory) -> AbstractContextManager[bool]:
    """Lock a run for training; False where another process holds the lock. A lock ends with its process."""
    return _locked(run.training_lock, seconds=0.0)


def opening_lock(run: RunDirectory) -> AbstractContextManager[bool]:
    """Wait for other processes that open the run; False where one takes longer than it ever should."""
    return _locked(run.opening_lock, seconds=OPENING_SECONDS)


@contextmanager
def _locked(path: Path, seconds: float) -> Iterator[bool]:
    lock = FileLock(path, timeout=seconds)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    except (OSError, NotImplementedError):
        yield True  # a disk without locks; write errors are reported where they occur
        return
    try:
        yield True
    finally:
        with suppress(OSError):  # before the release, so that no other process's lock is removed
            path.unlink()
        lock.release()

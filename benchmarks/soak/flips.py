"""One flipped bit in a file that is trusted: the command says so, or its result is the same; never another result."""

import random
from dataclasses import dataclass
from pathlib import Path

from benchmarks.soak.outcomes import DRAWN, outcome
from benchmarks.soak.runner import call, fresh_copy
from benchmarks.soak.states import States


@dataclass(frozen=True, kw_only=True)
class Target:
    """Files, and a command that trusts them."""

    kind: str
    files: str
    """A pattern below the folder of the call."""
    arguments: tuple[str, ...]
    result: str
    """File or folder that it writes."""


TRAIN = ("pretrain", "recipe.yaml", "--run", "new", "--pretrain.epochs", "1")
SCORE = ("evaluate", "--run", "run", "--evaluate.classifiers", "nearest_mean")
TARGETS = (
    Target(kind="images of a dataset", files="dataset/images.npy", arguments=TRAIN, result="new/checkpoints"),
    Target(kind="description of a dataset", files="dataset/*.json", arguments=TRAIN, result="new/checkpoints"),
    Target(
        kind="checkpoint to resume from",
        files="half/checkpoints/pretrain/last.pt",
        arguments=("finetune", "--run", "half"),
        result="half/checkpoints",
    ),
    Target(
        kind="best weights",
        files="half/checkpoints/pretrain/best.safetensors",
        arguments=("finetune", "--run", "half"),
        result="half/checkpoints",
    ),
    Target(
        kind="outcome of a stage",
        files="half/checkpoints/pretrain/outcome.json",
        arguments=("finetune", "--run", "half"),
        result="half/checkpoints",
    ),
    Target(
        kind="checkpoint within a stage",
        files="within/checkpoints/pretrain/last.pt",
        arguments=("pretrain", "--run", "within"),
        result="within/checkpoints",
    ),
    Target(kind="weights to score", files="run/checkpoints/finetune/best.safetensors", arguments=SCORE, result="run/results"),
    Target(kind="stored features", files="run/features/*", arguments=SCORE, result="run/results"),
    Target(
        kind="results",
        files="run/results/*",
        arguments=("compare", "run", "--classifiers", "ridge", "cosine_centroid", "--output", "t.csv"),
        result="t.csv",
    ),
    Target(kind="stored tasks", files="tasks.npz", arguments=(*SCORE, "--evaluate.tasks_from", "tasks.npz"), result="run/results"),
    Target(
        kind="exported weights",
        files="export/checkpoints/**/*.safetensors",
        arguments=("evaluate", "--run", "export", "--data.path", "dataset"),
        result="export/results",
    ),
    Target(kind="model of own classes", files="model/*.*", arguments=("predict", "model", "photos", "--output", "p.csv"), result="p.csv"),
    Target(
        kind="backbone of that model",
        files="model/backbone-*/**/*.*",
        arguments=("predict", "model", "photos", "--output", "p.csv"),
        result="p.csv",
    ),
    Target(
        kind="feature file",
        files="features.npz",
        arguments=("evaluate", "--features", "features.npz", "--output", "new", "--evaluate.queries", "2", "--evaluate.tasks", "9"),
        result="new/results",
    ),
)


def expected(states: States, target: Target, scratch: Path) -> dict[str, str]:
    """The result from sound files.

    Raises:
        RuntimeError: there are no such files, or the command fails.
    """
    fresh_copy(states.root, scratch)
    if not _files(scratch, target):
        raise RuntimeError(f"{target.kind}: no file is {target.files}")
    ended = call(target.arguments, scratch)
    if ended.code != 0:
        raise RuntimeError(f"{target.kind}: {ended.text}")
    return _result(scratch, target)


def flip(states: States, target: Target, whole: dict[str, str], scratch: Path, generator: random.Random) -> tuple[str, str]:
    """Flip a random bit; `noticed`, `same result`, or `defect` and what happened."""
    fresh_copy(states.root, scratch)
    file = generator.choice(_files(scratch, target))
    content = bytearray(file.read_bytes())
    position, bit = generator.randrange(len(content)), generator.randrange(8)
    content[position] ^= 1 << bit
    file.write_bytes(content)
    where = f"{target.kind}: bit {bit} of byte {position:,} of {len(content):,} in {file.relative_to(scratch)}"
    ended = call(target.arguments, scratch)
    if ended.is_defect:
        return "defect", f"{where}: {ended.text[-1500:]}"
    if ended.code != 0:
        return "noticed", f"{where}: {ended.last_line}"
    own = file.relative_to(scratch / target.result).as_posix() if file.is_relative_to(scratch / target.result) else ""
    result = _result(scratch, target)
    # A file that nothing reads stays as it is.
    if all(result.get(name) == whole.get(name) for name in (result.keys() | whole.keys()) - {own}):
        return "same result", where
    return "defect", f"{where}: another result without a word, {ended.text[-500:]}"


def _files(folder: Path, target: Target) -> list[Path]:
    return sorted(path for path in folder.glob(target.files) if path.is_file() and path.stat().st_size and path.suffix not in DRAWN)


def _result(folder: Path, target: Target) -> dict[str, str]:
    path = folder / target.result
    if path.is_dir():
        return outcome(path)
    return {name: digest for name, digest in outcome(folder).items() if name == target.result}

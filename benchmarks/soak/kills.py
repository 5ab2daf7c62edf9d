"""kill -9 at a random moment of every command, then the same command again: it ends as if nothing had been, or says what is there."""

import random
from dataclasses import dataclass
from pathlib import Path

from benchmarks.soak.outcomes import grow_old, leftovers, outcome
from benchmarks.soak.runner import Ended, call, fresh_copy
from benchmarks.soak.states import States

REFUSED = 2


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A command, and where it writes."""

    name: str
    arguments: tuple[str, ...]
    writes: tuple[str, ...]
    """Files and folders, in the folder of the call."""
    code: int = 0
    """Exit code of a call that nothing disturbs."""
    differs: tuple[str, ...] = ()
    """Keys of JSON files that a second call has other values for."""
    may_refuse: bool = False
    """A finished output may be refused, as it is never replaced; it must be whole then."""


SCENARIOS = (
    Scenario(
        name="prepare", arguments=("prepare", "images", "--output", "new", "--splits", "0.6,0.2,0.2"), writes=("new",), may_refuse=True
    ),
    Scenario(name="prepare a list", arguments=("prepare", "list.csv", "--output", "new"), writes=("new",), may_refuse=True),
    Scenario(name="doctor", arguments=("doctor", "images", "--output", "page.html"), writes=("page.html",), code=1),
    Scenario(name="run", arguments=("run", "recipe.yaml", "--run", "new"), writes=("new",)),
    Scenario(name="pretrain", arguments=("pretrain", "recipe.yaml", "--run", "new"), writes=("new",)),
    Scenario(name="finetune", arguments=("finetune", "--run", "half"), writes=("half",)),
    Scenario(name="evaluate", arguments=("evaluate", "--run", "run", "--evaluate.classifiers", "svm", "tim"), writes=("run",)),
    Scenario(name="evaluate again", arguments=("evaluate", "--run", "run"), writes=("run",)),
    Scenario(
        name="evaluate features",
        arguments=("evaluate", "--features", "features.npz", "--output", "new", "--evaluate.queries", "2", "--evaluate.tasks", "9"),
        writes=("new",),
    ),
    Scenario(name="analyze", arguments=("analyze", "--run", "run", "--analyze.images", "4"), writes=("run",)),
    Scenario(
        name="compare",
        arguments=("compare", "run", "--classifiers", "ridge", "cosine_centroid", "--output", "table.csv"),
        writes=("table.csv",),
    ),
    Scenario(name="export", arguments=("export", "--run", "run", "--output", "new"), writes=("new",), may_refuse=True),
    Scenario(name="import features", arguments=("import", "released.pkl", "--output", "new.npz"), writes=("new.npz",), may_refuse=True),
    Scenario(name="fit", arguments=("fit", "birds", "--output", "new", "--backbone", "run"), writes=("new",), may_refuse=True),
    Scenario(
        name="fit --overwrite",
        arguments=("fit", "birds", "--output", "model", "--backbone", "run", "--overwrite", "true"),
        writes=("model",),
    ),
    Scenario(name="fit --add", arguments=("fit", "more", "--output", "model", "--add", "true"), writes=("model",), differs=("notes",)),
    Scenario(name="predict", arguments=("predict", "model", "photos", "--output", "p.csv"), writes=("p.csv",), may_refuse=True),
    Scenario(
        name="predict shards", arguments=("predict", "model", "photos", "--output", "p.csv", "--shard", "1/2"), writes=(), may_refuse=True
    ),
    Scenario(name="suggest", arguments=("suggest", "model", "photos", "--output", "s.csv"), writes=("s.csv",), may_refuse=True),
)


def expected(states: States, scenario: Scenario, scratch: Path) -> tuple[dict[str, str], Ended]:
    """What a call leaves that nothing disturbs."""
    fresh_copy(states.root, scratch)
    ended = call(scenario.arguments, scratch)
    if ended.code != scenario.code:
        raise RuntimeError(f"{scenario.name} ended with {ended.code}:\n{ended.text}")
    return written(scratch, scenario), ended


def kill(states: States, scenario: Scenario, whole: dict[str, str], seconds: float, scratch: Path, generator: random.Random) -> str | None:
    """Kill a call once, or twice in a row, and finish it; what went wrong, or None.

    Args:
        whole: what an undisturbed call leaves.
        seconds: that it takes.
    """
    fresh_copy(states.root, scratch)
    for _ in range(1 + (generator.random() < 0.3)):
        moment = generator.uniform(0, 1.05 * seconds)
        ended = call(scenario.arguments, scratch, kill_after=moment)
        if ended.is_defect:
            return f"{scenario.name}, killed after {moment:.3f} s: {ended.code} {ended.text[-2000:]}"
    grow_old(scratch)
    finished = call(scenario.arguments, scratch)
    if finished.is_defect or finished.code not in ((0, REFUSED) if scenario.may_refuse else (scenario.code,)):
        return f"{scenario.name}, killed after {moment:.3f} s, then ended with {finished.code}: {finished.text[-2000:]}"
    left = written(scratch, scenario)
    if left != whole:
        different = sorted(name for name in left.keys() | whole.keys() if left.get(name) != whole.get(name))
        return f"{scenario.name}, killed after {moment:.3f} s: other content in {', '.join(different[:5])}"
    if strays := leftovers(scratch):
        return f"{scenario.name}, killed after {moment:.3f} s: {', '.join(strays[:5])} left"
    return None


def written(folder: Path, scenario: Scenario) -> dict[str, str]:
    """The outcome of what a command writes."""
    found: dict[str, str] = {}
    for name in scenario.writes:
        path = folder / name
        found |= {f"{name}/{inner}": digest for inner, digest in outcome(path, scenario.differs).items()} if path.is_dir() else {}
        if path.is_file():
            found |= {inner: digest for inner, digest in outcome(folder).items() if inner == name}
    return found

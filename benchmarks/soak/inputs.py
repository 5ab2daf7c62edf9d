"""Bad input for every reader and every flag: mutated files and words. Whatever comes, there is no traceback, crash or hang."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.soak.runner import call, fresh_copy
from benchmarks.soak.states import States
from s2m2.cli.subcommands import COMMANDS

NASTY = (
    b"",
    b"\0",
    b"\xff\xfe",
    b"nan",
    b"1e999",
    b"-1",
    b"{}",
    b"[]",
    b"null",
    b"[" * 3000,
    b"{" * 3000,
    b"&a [*a, *a]",
    b"!!python/object:os.system",
    b"../../etc/passwd",
    b"\xe2\x80\xae",
    b"=1+1",
    b"%s%n",
    b"9" * 400,
    b"\x1b[31m",
    b"\n" * 50,
    b"true",
    b"0x10",
    b"017",
    b"1:30",
    b"~nobody",
)
"""Pieces that readers have stumbled over."""
FILES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("recipe.yaml", ("pretrain", "recipe.yaml", "--print_config")),
    ("recipe.yaml", ("run", "recipe.yaml", "--run", "new", "--pretrain.epochs", "1", "--finetune.epochs", "0")),
    ("list.csv", ("prepare", "list.csv", "--output", "new")),
    ("list.csv", ("fit", "list.csv", "--output", "new", "--backbone", "run")),
    ("images/class 00/0.png", ("prepare", "images", "--output", "new")),
    ("images/class 00/0.png", ("doctor", "images")),
    ("photos/class 00/0.png", ("predict", "model", "photos", "--output", "p.csv")),
    ("birds/class 00/0.png", ("fit", "birds", "--output", "new", "--backbone", "run")),
    ("features.npz", ("evaluate", "--features", "features.npz", "--output", "new", "--evaluate.queries", "2", "--evaluate.tasks", "9")),
    ("released.pkl", ("import", "released.pkl", "--output", "new.npz")),
    ("model/model.json", ("predict", "model", "photos")),
    ("model/model.json", ("fit", "more", "--output", "model", "--add", "true")),
    ("tasks.npz", ("evaluate", "--run", "run", "--evaluate.tasks_from", "tasks.npz")),
    ("run/recipe.yaml", ("evaluate", "--run", "run")),
    ("run/checkpoints/finetune/outcome.json", ("evaluate", "--run", "run")),
    ("dataset/dataset.json", ("doctor", "dataset")),
    ("dataset/dataset.json", ("pretrain", "recipe.yaml", "--run", "new", "--pretrain.epochs", "1")),
    ("run/results/*.json", ("compare", "run", "--classifiers", "ridge", "cosine_centroid")),
)
"""A file, as a pattern, and a command that reads it."""
VALUES = (
    "",
    "-1",
    "0",
    "1e400",
    "nan",
    ".inf",
    "true",
    "null",
    "[]",
    "{}",
    "[1,[2]]",
    "{a: 1}",
    "100000000000000000000",
    "017",
    "1:30",
    "~nosuchuser/x",
    "/dev/null",
    "/dev/zero",
    "/proc/self/mem",
    "a\0b",
    "\udcff",
    "é",
    "x" * 5000,
    "../..",
    ".",
    "*",
    "run",
    "dataset",
    "model",
    "recipe.yaml",
    "cosine",
    "tim",
    "{name: cosine, epochs: -3}",
)
"""Words for flags and arguments."""
STANDALONE = [name for name in COMMANDS if name != "serve"]
"""Commands that end by themselves."""
SHORT = {"run": ("recipe.yaml",), "pretrain": ("recipe.yaml",)}
"""Commands that train for minutes without a recipe, and a short one for them."""


@dataclass(frozen=True, kw_only=True)
class Attack:
    """A call on bad input."""

    what: str
    arguments: tuple[str, ...]
    prepare: Callable[[Path], None]


def random_attack(states: States, flags: dict[str, list[str]], generator: random.Random) -> Attack:
    """A mutated file for a command that reads it, or random words for a command.

    Args:
        flags: of each command, by its help.
    """
    if generator.random() < 0.55:
        pattern, arguments = generator.choice(FILES)
        seed = generator.randrange(2**32)
        return Attack(what=f"{pattern} mutated ({seed})", arguments=arguments, prepare=lambda folder: _mutate(folder, pattern, seed))
    name = generator.choice(STANDALONE)
    words = [generator.choice(VALUES) for _ in range(generator.choice((0, 1, 1, 2)))]
    for flag in generator.sample(flags[name], min(generator.choice((1, 1, 2, 3)), len(flags[name]))):
        words += [flag, generator.choice(VALUES)] if generator.random() < 0.9 else [flag]
    words = [word.replace("\0", "") for word in words]  # no program can be given one
    return Attack(what=f"words {words}", arguments=(name, *SHORT.get(name, ()), *words), prepare=lambda folder: None)


def attack(states: States, one: Attack, scratch: Path) -> tuple[int, str | None]:
    """Exit code, and what went wrong, or None."""
    fresh_copy(states.root, scratch)
    one.prepare(scratch)
    ended = call(one.arguments, scratch, stdin=b"nothing.png\n")
    if ended.is_defect or ended.code not in (0, 1, 2):
        return (
            ended.code,
            f"{one.what}: s2m2 {' '.join(one.arguments)} ended with {ended.code}{' (hung)' if ended.hung else ''}: {ended.text[-2500:]}",
        )
    return ended.code, None


def flags_of(states: States) -> dict[str, list[str]]:
    """The flags of each command, from its whole help."""
    found = {}
    for name in STANDALONE:
        words = call((name, "--help.all"), states.root).text.split()
        found[name] = sorted({word.rstrip(",") for word in words if word.startswith("--") and len(word) > 3})
    return found


def _mutate(folder: Path, pattern: str, seed: int) -> None:
    generator = random.Random(seed)
    file = generator.choice(sorted(folder.glob(pattern)))
    content = bytearray(file.read_bytes())
    for _ in range(generator.choice((1, 1, 2, 5))):
        position = generator.randrange(len(content) + 1)
        match generator.randrange(6):
            case 0:
                del content[position:]
            case 1:
                content[position:position] = generator.choice(NASTY)
            case 2:
                content[position : position + generator.randrange(1, 40)] = generator.choice(NASTY)
            case 3:
                content[position : position + 8] = generator.randbytes(8)
            case 4:
                other = generator.randrange(len(content) + 1)
                content[position:position] = content[other : other + 60]
            case 5:
                lines = content.split(b"\n")
                generator.shuffle(lines)
                content = bytearray(b"\n".join(lines))
    file.write_bytes(content)

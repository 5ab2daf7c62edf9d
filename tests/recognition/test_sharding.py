"""Parts of a stream by flag and by launcher."""

from pathlib import Path

import pytest

from s2m2.errors import InputError
from s2m2.recognition.sharding import Shard, shard_of


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        (None, {}, (0, 1)),
        ("1/1", {}, (0, 1)),
        ("3/16", {}, (2, 16)),
        (None, {"RANK": "2", "WORLD_SIZE": "16", "LOCAL_RANK": "2"}, (2, 16)),
        (None, {"SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "16", "SLURM_LOCALID": "0"}, (2, 16)),
        (None, {"SLURM_PROCID": "0", "SLURM_NTASKS": "16"}, (0, 1)),
        ("1/2", {"RANK": "2", "WORLD_SIZE": "16"}, (0, 2)),
    ],
)
def test_the_flag_counts_then_the_launcher(text: str | None, environment: dict[str, str], expected: tuple[int, int]) -> None:
    shard = shard_of(text, environment)
    assert (shard.index, shard.count) == expected


@pytest.mark.parametrize("environment", [{"RANK": "x", "WORLD_SIZE": "2"}, {"RANK": "2", "WORLD_SIZE": "2"}])
def test_a_wrong_variable_is_named(environment: dict[str, str]) -> None:
    with pytest.raises(InputError, match="RANK in the environment is"):
        shard_of(None, environment)


def test_each_shard_has_a_file_of_its_own() -> None:
    assert Shard().name_of(Path("a/p.csv")) == Path("a/p.csv")
    assert Shard(index=2, count=16).name_of(Path("a/p.csv")) == Path("a/p-00003-of-00016.csv")

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from s2m2.errors import InputError
from s2m2.random import generator_for
from s2m2.recipe.evaluation import ProtocolName
from s2m2.tasks.episodes import OPEN_SET, EpisodeIndices, EpisodeSpec, TaskSource
from s2m2.tasks.sampler import BLOCK, TaskSampler
from s2m2.tasks.saved_tasks import load_tasks, save_tasks

LABELS = torch.arange(7).repeat_interleave(torch.tensor([20, 21, 22, 30, 40, 21, 25]))
IMAGES = torch.randperm(5000, generator=generator_for(0))[: len(LABELS)]
SPEC = EpisodeSpec(ways=5, shots=2, queries=4, tasks=40, seed=3)
PARTS = ("classes", "support", "support_ways", "query", "query_ways")


def stored(path: Path, spec: EpisodeSpec = SPEC) -> Path:
    save_tasks(path, TaskSampler(LABELS, spec), spec, IMAGES)
    return path


def tasks_of(source: TaskSource) -> list[EpisodeIndices]:
    parts = [part for number in range(source.blocks) for part in source.block(number)]
    return [part.part(task, task + 1) for part in parts for task in range(len(part))]


@pytest.mark.parametrize("protocol", ["fixed", "s2m2", "dirichlet", "variable"])
def test_tasks_come_back_as_they_were(tmp_path: Path, protocol: ProtocolName) -> None:
    spec = replace(SPEC, protocol=protocol, tasks=BLOCK + 9 if protocol == "fixed" else 30)
    loaded = load_tasks(stored(tmp_path / "tasks.npz", spec), IMAGES, LABELS)
    assert isinstance(loaded, TaskSource)
    assert loaded.spec == spec
    assert loaded.tasks == spec.tasks
    for one, other in zip(tasks_of(loaded), tasks_of(TaskSampler(LABELS, spec)), strict=True):
        assert one.size == other.size
        assert all(torch.equal(getattr(one, name), getattr(other, name)) for name in PARTS)


def test_open_set_queries_come_back_too(tmp_path: Path) -> None:
    spec = replace(SPEC, open_set_classes=2)
    loaded = load_tasks(stored(tmp_path / "tasks.npz", spec), IMAGES, LABELS)
    assert torch.equal(loaded.block(0)[0].query_ways, TaskSampler(LABELS, spec).block(0)[0].query_ways)


def test_rows_in_another_order_are_the_same_images(tmp_path: Path) -> None:
    order = torch.randperm(len(LABELS), generator=generator_for(1))
    loaded = load_tasks(stored(tmp_path / "tasks.npz"), IMAGES[order], LABELS[order])
    for one, other in zip(tasks_of(loaded), tasks_of(TaskSampler(LABELS, SPEC)), strict=True):
        assert torch.equal(IMAGES[order][one.query], IMAGES[other.query])


def test_tasks_of_another_program_need_not_say_how_they_were_drawn(tmp_path: Path) -> None:
    rewrite(stored(tmp_path / "tasks.npz"), spec=np.array("{}"))
    loaded = load_tasks(tmp_path / "tasks.npz", IMAGES, LABELS)
    assert loaded.spec == EpisodeSpec(ways=5, shots=2, queries=4, tasks=40, protocol="stored")


def stated(**changes: object) -> np.ndarray:
    return np.array(json.dumps(asdict(SPEC) | changes))


def rewrite(path: Path, **changes: np.ndarray | None) -> None:
    with np.load(path) as archive:
        arrays = {**{name: archive[name] for name in archive.files}, **changes}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"query": None}, "has no array query"),
        ({"support": np.zeros(3, dtype=np.int64)}, "support has 3 entries, but sizes add up to 400"),
        ({"sizes": np.full((40, 3), 0.5)}, "sizes must be whole numbers"),
        ({"sizes": np.zeros((0, 3), dtype=np.int64)}, "sizes must be whole numbers"),
        ({"query": np.full(800, 9999)}, "names image 9999, which is not among the 179 images"),
        ({"query": np.full(800, int(IMAGES[0]))}, "a query image of task 0 is not of the class of its way"),
        ({"query_ways": np.full(800, 5)}, "query_ways of task 0 has 5"),
        ({"support_ways": np.full(400, -1)}, "support_ways of task 0 has -1"),
        ({"spec": np.array('{"ways": 5, "magic": 1}')}, "spec does not describe tasks"),
        ({"spec": stated(ways=4)}, "spec says ways 4, but the tasks have 5"),
        ({"spec": stated(shots=1)}, "spec says shots 1, but the tasks have 2"),
        ({"spec": stated(queries=15)}, "spec says queries 15, but the tasks have 4"),
        ({"spec": stated(protocol="magic")}, "protocol magic cannot be sampled"),
        ({"support": np.array([object()] * 400)}, "holds no tasks: "),
    ],
)
def test_a_wrong_file_is_one_line_that_names_the_fault(tmp_path: Path, changes: dict[str, np.ndarray | None], says: str) -> None:
    rewrite(stored(tmp_path / "tasks.npz"), **changes)
    with pytest.raises(InputError, match=says) as caught:
        load_tasks(tmp_path / "tasks.npz", IMAGES, LABELS)
    assert "\n" not in str(caught.value)
    assert "tasks.npz" in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"\x93NUMPY\x01\x00v\x00{'descr': '<i8', 'fortran_order': False, 'shape': (1,), }" + b" " * 60 + b"\n" + bytes(8),
        b"PK\x03\x04 cut short",
        b"\x80\x04K\x01.",
    ],
)
def test_what_is_no_archive_is_said(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "tasks.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"tasks\.npz"):
        load_tasks(path, IMAGES, LABELS)


def with_entry(path: Path, name: str, place: int, value: int) -> np.ndarray:
    with np.load(path) as archive:
        values = archive[name]
    values[place] = value
    return values


def test_an_image_is_in_a_task_once(tmp_path: Path) -> None:
    path = stored(tmp_path / "tasks.npz")
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    # The first images of both are of the first class of the task.
    for name, place, value in (("query", 0, arrays["support"][0]), ("query", 1, arrays["query"][0]), ("support", 1, arrays["support"][0])):
        stored(path)
        rewrite(path, **{name: with_entry(path, name, place, int(value))})
        with pytest.raises(InputError, match=r"tasks\.npz: task 0 has an image twice"):
            load_tasks(path, IMAGES, LABELS)


def test_a_class_is_in_a_task_once(tmp_path: Path) -> None:
    path = tmp_path / "tasks.npz"
    images = IMAGES[:6].numpy()
    ways = np.array([0, 1])
    items = {"support": images[:2], "support_ways": ways, "query": images[2:4], "query_ways": ways}
    np.savez(path, sizes=np.array([[2, 2, 2]]), classes=np.zeros(2, np.int64), spec="{}", **items)
    with pytest.raises(InputError, match="task 0 has a class twice"):
        load_tasks(path, IMAGES, LABELS)


def test_a_task_asks_for_one_of_its_classes_at_least(tmp_path: Path) -> None:
    path = stored(tmp_path / "tasks.npz")
    with np.load(path) as archive:
        ways = archive["query_ways"]
    ways[20:40] = OPEN_SET
    rewrite(path, query_ways=ways, spec=np.array("{}"))
    with pytest.raises(InputError, match="task 1 has no query of its classes"):
        load_tasks(path, IMAGES, LABELS)


def test_a_flipped_byte_is_said_or_does_no_harm(tmp_path: Path) -> None:
    path = stored(tmp_path / "tasks.npz", replace(SPEC, tasks=2))
    content, lines = path.read_bytes(), []
    digest = load_tasks(path, IMAGES, LABELS).digest
    for place in range(0, len(content), 3):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            assert load_tasks(path, IMAGES, LABELS).digest == digest
        except InputError as error:
            lines.append(str(error))
    assert len(lines) > len(content) / 6
    assert not any("\n" in line for line in lines)


def test_the_digest_is_that_of_the_tasks_and_of_nothing_else(tmp_path: Path) -> None:
    path = stored(tmp_path / "tasks.npz")
    digest = load_tasks(path, IMAGES, LABELS).digest
    rewrite(path, spec=np.array("{}"))
    assert load_tasks(path, IMAGES, LABELS).digest == digest
    assert load_tasks(stored(tmp_path / "other.npz", replace(SPEC, seed=4)), IMAGES, LABELS).digest != digest


def test_sizes_in_which_tasks_or_classes_differ_are_not_stated(tmp_path: Path) -> None:
    rewrite(stored(tmp_path / "tasks.npz", replace(SPEC, protocol="s2m2")), spec=np.array("{}"))
    spec = load_tasks(tmp_path / "tasks.npz", IMAGES, LABELS).spec
    assert (spec.ways, spec.shots, spec.queries) == (5, 2, 0)
    rewrite(stored(tmp_path / "tasks.npz", replace(SPEC, protocol="variable")), spec=np.array("{}"))
    assert load_tasks(tmp_path / "tasks.npz", IMAGES, LABELS).spec.ways == 0


def test_a_file_of_version_0_1_has_the_tasks_that_are_sampled_today() -> None:
    labels = torch.arange(8).repeat_interleave(12)
    loaded = load_tasks(Path(__file__).parents[1] / "evaluation" / "version_0_1" / "tasks.npz", torch.arange(96), labels)
    assert loaded.spec == EpisodeSpec(ways=3, shots=2, queries=3, tasks=12)
    for one, other in zip(tasks_of(loaded), tasks_of(TaskSampler(labels, loaded.spec)), strict=True):
        assert all(torch.equal(getattr(one, name), getattr(other, name)) for name in PARTS)

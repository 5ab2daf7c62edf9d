from dataclasses import replace

import pytest
import torch

from s2m2.data.episodes import EpisodeSpec
from s2m2.data.sampling import sample_episodes
from s2m2.errors import InputError
from s2m2.evaluation.classifiers import nearest_mean
from s2m2.evaluation.evaluate import score_tasks
from s2m2.evaluation.features import FeatureSet
from s2m2.evaluation.tasks import TaskGatherer
from s2m2.evaluation.transforms import build_transforms, subtract
from s2m2.recipe import EvaluateConfig
from s2m2.recipe.transforms import TransformName, needs_base, transform_steps
from s2m2.seeding import generator_for
from tests.reference.transforms import transform

ORDERS: list[tuple[TransformName, ...]] = [
    (),
    ("unit",),
    ("power",),
    ("center_base",),
    ("center_support",),
    ("cl2n",),
    ("peme",),
    ("power", "unit"),
    ("unit", "power"),
    ("unit", "center_base"),
    ("power", "center_support", "unit"),
    ("peme", "center_support", "unit", "center_support"),
    ("center_base", "center_base"),
    ("rectify", "power"),
    ("center_base", "rectify", "unit"),
    ("center_support", "rectify"),
]


def dataset(name: str, classes: int = 4) -> FeatureSet:
    labels = torch.arange(classes).repeat_interleave(9)
    generator = generator_for(0, "features to transform", name)
    features = (torch.randn(classes, 10, generator=generator)[labels] + torch.randn(len(labels), 10, generator=generator)).relu() + 0.01
    names = tuple(map(str, range(classes)))
    return FeatureSet(features=features, labels=labels, rows=torch.arange(len(labels)), class_names=names, fingerprint=name)


NOVEL, BASE = dataset("novel"), dataset("base")
SPEC = EpisodeSpec(ways=3, shots=2, queries=4, tasks=5)


@pytest.mark.parametrize("names", ORDERS, ids="-".join)
def test_tasks_become_what_a_plain_loop_makes_of_them(names: tuple[TransformName, ...]) -> None:
    tasks = TaskGatherer(NOVEL.features)(sample_episodes(NOVEL.labels, SPEC))
    before = tasks.support.clone(), tasks.query.clone()
    found = build_transforms(names, BASE).whole(tasks)
    for task in range(len(tasks)):
        support, query = (features[task].double().numpy() for features in before)
        support, query = transform(names, support, query, BASE.features.double().numpy())
        torch.testing.assert_close(found.support[task].double(), torch.from_numpy(support), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found.query[task].double(), torch.from_numpy(query), rtol=1e-4, atol=1e-5)
    assert torch.equal(tasks.support, before[0])
    assert torch.equal(tasks.query, before[1])


@pytest.mark.parametrize("names", ORDERS, ids="-".join)
def test_what_is_done_to_the_whole_table_gives_the_tasks_the_same_values(names: tuple[TransformName, ...]) -> None:
    transforms, episodes = build_transforms(names, BASE), sample_episodes(NOVEL.labels, SPEC)
    changed = TaskGatherer(transforms.dataset(NOVEL).features)(episodes)
    found = transforms.remaining(changed) if transforms.remaining is not None else changed
    expected = transforms.whole(TaskGatherer(NOVEL.features)(episodes))
    torch.testing.assert_close(found.support, expected.support)
    torch.testing.assert_close(found.query, expected.query)


def test_only_what_looks_at_a_task_is_left_for_the_tasks() -> None:
    assert build_transforms(("peme", "cl2n"), BASE).remaining is None
    assert build_transforms(("power", "center_support", "unit"), BASE).tasks == ("center_support", "unit")


def test_support_features_of_their_own_are_transformed_too() -> None:
    own = replace(NOVEL, support_features=NOVEL.features + 1)
    changed = build_transforms(("power",), None).dataset(own)
    assert changed.support_features is not None
    torch.testing.assert_close(changed.support_features, (NOVEL.features + 1 + 1e-6).sqrt())


def test_the_evaluation_scores_transformed_tasks() -> None:
    def accuracy(names: tuple[TransformName, ...]) -> float:
        transforms = build_transforms(names, BASE)
        moved = transforms.dataset(NOVEL)
        scores = score_tasks(moved, replace(SPEC, tasks=50), nearest_mean, name="nearest_mean", transform=transforms.remaining)
        return float(scores.mean())

    assert accuracy(("center_support",)) == accuracy(())  # distances do not change
    assert accuracy(("center_support", "unit")) != accuracy(())


def test_negative_features_have_no_power() -> None:
    negative = replace(NOVEL, features=NOVEL.features - 1)
    with pytest.raises(InputError, match=r"evaluate\.transforms takes a power"):
        build_transforms(("power",), None).dataset(negative)
    assert torch.equal(
        build_transforms(("rectify", "power"), None).dataset(negative).features, (negative.features.clamp(min=0) + 1e-6).sqrt()
    )


def test_base_features_that_are_not_there_are_named() -> None:
    with pytest.raises(InputError, match="base features, which are not at hand"):
        build_transforms(("cl2n",), None)
    assert needs_base(("unit", "peme"))
    assert not needs_base(("unit", "center_support"))


def test_compound_names_stand_for_their_steps() -> None:
    assert transform_steps(("cl2n", "power", "peme")) == ("center_base", "unit", "power", "power", "unit", "center_base", "unit")


@pytest.mark.parametrize("names", [("center_support", "cl2n"), ("center_base", "power"), ("center_support", "peme")])
def test_orders_without_meaning_are_refused(names: tuple[TransformName, ...]) -> None:
    with pytest.raises(InputError, match=r"--evaluate\.transforms is .* but must be an order"):
        EvaluateConfig(transforms=names)


def test_the_mean_follows_the_features_to_their_type_and_device() -> None:
    assert subtract(torch.ones(2, 3, dtype=torch.bfloat16), torch.ones(3)).dtype == torch.bfloat16
    assert subtract(torch.ones(2, 3, device="meta"), torch.ones(3)).device.type == "meta"

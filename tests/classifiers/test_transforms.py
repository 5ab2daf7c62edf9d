import pytest
import torch
from torch import Tensor

from s2m2.classifiers.nearest_mean import NearestMean
from s2m2.classifiers.transforms import build_transforms, subtract
from s2m2.errors import InputError
from s2m2.random import generator_for
from s2m2.recipe.evaluation import TransformName, check_transforms, needs_base, transform_steps
from tests.reference.evaluate import changed, made_up_tasks
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


TASKS = changed(made_up_tasks(5, ways=3, shots=2, queries=4, dim=10), lambda features: features.relu() + 0.01)
BASE = torch.rand(36, 10, generator=generator_for(0, "base features to transform"))


@pytest.mark.parametrize("names", ORDERS, ids="-".join)
def test_tasks_become_what_a_plain_loop_makes_of_them(names: tuple[TransformName, ...]) -> None:
    before = TASKS.support.clone(), TASKS.query.clone()
    transformed = build_transforms(names, BASE).whole(TASKS)
    for task in range(len(TASKS)):
        support, query = (features[task].double().numpy() for features in before)
        support, query = transform(names, support, query, BASE.double().numpy())
        torch.testing.assert_close(transformed.support[task].double(), torch.from_numpy(support), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(transformed.query[task].double(), torch.from_numpy(query), rtol=1e-4, atol=1e-5)
    assert torch.equal(TASKS.support, before[0])
    assert torch.equal(TASKS.query, before[1])


@pytest.mark.parametrize("names", ORDERS, ids="-".join)
def test_steps_on_all_features_then_those_on_tasks_give_the_same_values(names: tuple[TransformName, ...]) -> None:
    transforms = build_transforms(names, BASE)
    tasks = changed(TASKS, transforms.features)
    transformed = transforms.remaining(tasks) if transforms.remaining is not None else tasks
    expected = transforms.whole(TASKS)
    torch.testing.assert_close(transformed.support, expected.support)
    torch.testing.assert_close(transformed.query, expected.query)


def test_only_steps_that_look_at_a_task_are_left_for_the_tasks() -> None:
    assert build_transforms(("peme", "cl2n"), BASE).remaining is None
    assert build_transforms(("power", "center_support", "unit"), BASE).task_steps == ("center_support", "unit")


def test_classifiers_score_transformed_tasks() -> None:
    def scores(names: tuple[TransformName, ...]) -> Tensor:
        return NearestMean()(build_transforms(names, BASE).whole(TASKS), generator_for(0))

    torch.testing.assert_close(scores(("center_support",)), scores(()), rtol=1e-3, atol=1e-3)  # distances do not change
    assert not torch.allclose(scores(("center_support", "unit")), scores(()), atol=0.1)


def test_negative_features_have_no_power() -> None:
    negative = TASKS.support - 1
    with pytest.raises(InputError, match=r"evaluate\.transforms takes a power"):
        build_transforms(("power",)).features(negative)
    assert torch.equal(build_transforms(("rectify", "power")).features(negative), (negative.clamp(min=0) + 1e-6).sqrt())


def test_missing_base_features_are_named() -> None:
    with pytest.raises(InputError, match="base features, which are not available"):
        build_transforms(("cl2n",))
    assert needs_base(("unit", "peme"))
    assert not needs_base(("unit", "center_support"))


def test_compound_names_stand_for_their_steps() -> None:
    assert transform_steps(("cl2n", "power", "peme")) == ("center_base", "unit", "power", "power", "unit", "center_base", "unit")


@pytest.mark.parametrize("names", [("center_support", "cl2n"), ("center_base", "power"), ("center_support", "peme")])
def test_orders_without_meaning_are_refused(names: tuple[TransformName, ...]) -> None:
    with pytest.raises(InputError, match=r"--evaluate\.transforms is .* but must be an order"):
        check_transforms("evaluate.transforms", names)


def test_the_mean_follows_the_features_to_their_type_and_device() -> None:
    assert subtract(torch.ones(2, 3, dtype=torch.bfloat16), torch.ones(3)).dtype == torch.bfloat16
    assert subtract(torch.ones(2, 3, device="meta"), torch.ones(3)).device.type == "meta"

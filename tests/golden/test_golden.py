"""The numbers that s2m2 0.1.0 computed are still computed: a safety net for changes that shall change nothing.

`tests.golden.values` says what is compared and how nearly, `tests.golden.regenerate` how values are computed again.
"""

from pathlib import Path

import pytest
import torch

from tests.golden import adapter, values

pytestmark = pytest.mark.usefixtures("one_thread")
CASES = values.classifier_cases()
# Measured on 2026-11-27, one thread, seed 0: untrained 0.238, after pretraining 0.490, after fine-tuning 0.740 (+-0.01).
# So a run without pretraining misses the first floor, and one whose fine-tuning does nothing the second.
FLOORS = {"pretrain": 0.38, "finetune": 0.64}


@pytest.fixture(scope="module")
def golden() -> dict:
    return values.golden()


def limits(case: str) -> dict[str, float]:
    """`calibrated` ends where a stopping rule ends it, so rounding turns a query in one task of six."""
    return {"mean": 6e-3, "fraction": 0.35} if CASES[case]["name"] in values.ITERATED else {}


def test_the_golden_file_has_every_case(golden: dict) -> None:
    assert list(golden["classifiers"]) == list(CASES)
    assert list(golden["training"]) == list(values.OBJECTIVES)
    assert len(adapter.classifier_names()) == 17


@pytest.mark.parametrize("case", CASES)
def test_a_classifier_scores_every_task_as_before(golden: dict, case: str) -> None:
    found = values.accuracies_of(CASES[case])
    assert values.same_accuracies(found, golden["classifiers"][case], **limits(case)), found


@pytest.mark.parametrize(
    ("case", "settings"),
    [
        ("cosine, fixed, 5-shot", {"cosine": {"scale": 2.5}}),
        ("logistic, fixed, 5-shot", None),
        ("nearest_mean, fixed, 1-shot", None),
        ("nearest_mean, variable", None),
    ],
)
def test_a_changed_classifier_would_be_noticed(golden: dict, case: str, settings: dict | None) -> None:
    """Another scale, or else features of which some have moved to another image."""
    changes = {"settings": settings} if settings else {"features": _some_shuffled(0.05)}
    assert not values.same_accuracies(values.accuracies_of({**CASES[case], **changes}), golden["classifiers"][case])


def _some_shuffled(fraction: float) -> tuple[torch.Tensor, torch.Tensor]:
    features, labels = adapter.made_up_features()
    chosen = torch.arange(0, len(features), round(1 / fraction))
    features[chosen] = features[chosen.roll(7)]
    return features, labels


def test_two_queries_of_one_task_may_turn_and_no_more(golden: dict) -> None:
    kept = golden["classifiers"]["cosine, fixed, 5-shot"]

    def changed(*turned: int) -> dict:
        return {**kept, "right": [right - sum(task == number for number in turned) for task, right in enumerate(kept["right"])]}

    assert values.same_accuracies(changed(0, 0), kept)
    assert not values.same_accuracies(changed(0, 0, 0), kept)
    assert not values.same_accuracies(changed(0, 1), kept)
    assert not values.same_accuracies({**kept, "right": kept["right"][::-1]}, kept)


@pytest.mark.parametrize("seed", values.SEEDS)
@pytest.mark.parametrize("protocol", values.PROTOCOLS)
def test_the_same_tasks_are_sampled(golden: dict, protocol: str, seed: int) -> None:
    assert values.digest_of(protocol, seed) == golden["tasks"][f"{protocol}, seed {seed}"]


@pytest.mark.parametrize("objective", values.OBJECTIVES)
def test_training_steps_lead_to_the_same_weights(golden: dict, objective: str) -> None:
    assert values.differing_weights(values.weights_of(objective), golden["training"][objective]) == []


@pytest.mark.parametrize("changes", [{"steps": 19}, {"rate": 0.0033}])
def test_changed_training_would_be_noticed(golden: dict, changes: dict) -> None:
    assert len(values.differing_weights(values.weights_of("finetune", **changes), golden["training"]["finetune"])) > 5


def test_the_quick_pipeline_learns_to_tell_unseen_characters_apart(tmp_path: Path) -> None:
    found = adapter.quick_pipeline(tmp_path)
    assert {stage for stage, floor in FLOORS.items() if found[stage] < floor} == set(), found

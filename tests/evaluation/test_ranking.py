"""The best of several results: what is shown, what is not, and where nothing can be."""

from dataclasses import replace

import numpy as np
import pytest

from s2m2.evaluation.compare import compare_results
from s2m2.evaluation.ranking import LEVEL, holm, rank
from tests.reports.planted import planted

WEAK, STRONG = planted("nearest_mean", 0.0), planted("cosine", 0.05)


def rejected(p_values: dict[int, float], level: float) -> set[int]:
    """Holm's procedure as it is written: the smallest p-value against level / k, the next against level / (k - 1), until one fails."""
    waiting, gone = dict(p_values), set()
    while waiting:
        key = min(waiting, key=lambda one: waiting[one])
        if waiting[key] > level / len(waiting):
            break
        gone.add(key)
        del waiting[key]
    return gone


def test_adjusted_p_values_are_those_of_holm() -> None:
    assert holm({0: 0.01, 1: 0.04, 2: 0.03}) == pytest.approx({0: 0.03, 2: 0.06, 1: 0.06})
    assert holm({3: 0.7}) == {3: 0.7}
    assert holm({0: 0.6, 1: 0.9}) == {0: 1.0, 1: 1.0}
    rng = np.random.default_rng(0)
    for _ in range(50):
        p_values = dict(enumerate((rng.random(6) ** 3).tolist()))
        adjusted = holm(p_values)
        for level in (0.01, 0.05, 0.2, 0.5):
            assert {key for key, p_value in adjusted.items() if p_value <= level} == rejected(p_values, level)


def test_a_clear_winner_wins() -> None:
    ranking = rank([WEAK, None, STRONG, planted("ridge", 0.02)])
    assert (ranking.best, ranking.winner, ranking.level, ranking.untested) == (2, 2, {2}, "")
    assert set(ranking.comparisons) == {0, 3}
    expected = compare_results(STRONG, WEAK)
    assert ranking.comparisons[0].difference == expected.difference < 0
    others = {number: compare_results(STRONG, one).class_p_value for number, one in ((0, WEAK), (3, planted("ridge", 0.02)))}
    assert ranking.p_values == holm({number: p_value for number, p_value in others.items() if p_value is not None})


def test_of_two_that_the_test_does_not_tell_apart_neither_wins() -> None:
    even = planted("tim", 0.05, noise=3)
    ranking = rank([STRONG, WEAK, even])
    assert ranking.p_values[2 if ranking.best == 0 else 0] > LEVEL
    assert (ranking.winner, ranking.level) == (None, {0, 2})
    assert rank([STRONG, replace(STRONG, classifier="twin")]).level == {0, 1}


def test_the_number_of_entries_counts() -> None:
    """One that is shown to be worse alone is not among many like it."""
    rivals = [planted("tim", 0.05 - 0.006, noise=noise) for noise in range(40)]
    close = next(one for one in rivals if 0.02 < (compare_results(STRONG, one).class_p_value or 1) < LEVEL and one.mean < STRONG.mean)
    assert rank([STRONG, close]).winner == 0
    assert rank([STRONG, *[close] * 3]).winner is None


@pytest.mark.parametrize(
    ("results", "why"),
    [
        ([STRONG], "one entry alone"),
        ([None, STRONG, None], "one entry alone"),
        ([STRONG, replace(WEAK, seed=1)], "entries of different tasks, seed 0 and 1"),
        ([STRONG, WEAK, replace(WEAK, classifier="ridge", data_digest="e2" * 32)], "entries of different tasks, data digest"),
        ([STRONG, replace(WEAK, details=None)], "entries that do not state their classes"),
    ],
)
def test_without_a_test_nothing_wins_and_the_reason_is_said(results: list, why: str) -> None:
    ranking = rank(results)
    assert ranking.untested.startswith(why)
    assert (ranking.winner, ranking.level, ranking.comparisons, ranking.p_values) == (None, set(), {}, {})
    assert results[ranking.best] is STRONG

"""Which of several results is the best, as far as the paired test over classes can say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from s2m2.evaluation.compare import Comparison, compare_results, different_field
from s2m2.evaluation.results import TaskResults

LEVEL = 0.05
"""Of the two-sided tests."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The largest mean of some results, and its paired tests against all others."""

    best: int
    """Position of the largest mean, the first of equal ones."""
    comparisons: Mapping[int, Comparison]
    """Of the best (first) with each other result (second), by the position of that; none without a test."""
    p_values: Mapping[int, float]
    """The same tests over classes, adjusted for their number (`holm`)."""
    untested: str
    """Why there is no test, in words; empty where there is one."""

    @property
    def level(self) -> set[int]:
        """Positions of the best and of all that the test does not tell from it; none without a test.

        These are multiple comparisons with the best (Hsu, Annals of Statistics 1984): what is left is not shown to be worse, which is not
        the same as shown to be as good.
        """
        return set() if self.untested else {self.best, *(position for position, p_value in self.p_values.items() if p_value > LEVEL)}

    @property
    def winner(self) -> int | None:
        """Position of the best if it is shown to be better than every other result; None where it is not, and without a test."""
        return self.best if self.level == {self.best} else None


def rank(results: Sequence[TaskResults | None]) -> Ranking:
    """Test the largest mean against all others, in pairs on the same tasks, over classes.

    The best is chosen by the same numbers that are tested, so its differences are adjusted for how many others there are.

    Args:
        results: None where there is none; at least one is there.
    """
    present = {position: result for position, result in enumerate(results) if result is not None}
    best = max(present, key=lambda position: present[position].mean)
    others = {position: result for position, result in present.items() if position != best}
    comparisons: dict[int, Comparison] = {}
    p_values: dict[int, float] = {}
    for position, result in others.items():
        differs = different_field(present[best], result)
        if differs is not None:
            return _untested(best, f"entries of different tasks, {differs}")
        comparisons[position] = comparison = compare_results(present[best], result)
        if comparison.class_p_value is None:
            return _untested(best, "entries that do not state their classes, or have every class in every task")
        p_values[position] = comparison.class_p_value
    if not others:
        return _untested(best, "one entry alone")
    return Ranking(best=best, comparisons=comparisons, p_values=holm(p_values), untested="")


def _untested(best: int, why: str) -> Ranking:
    return Ranking(best=best, comparisons={}, p_values={}, untested=why)


def holm(p_values: Mapping[int, float]) -> dict[int, float]:
    """P-values by their keys, adjusted: the chance that any of those below a level is there by chance stays below the level.

    Holm, Scandinavian Journal of Statistics 1979: the smallest of k times k, the next times k - 1, and so on, none below the one before.
    """
    adjusted, largest = {}, 0.0
    for number, (key, p_value) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(p_values) - number) * p_value))
        adjusted[key] = largest
    return adjusted

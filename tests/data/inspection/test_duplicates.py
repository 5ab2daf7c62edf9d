import numpy as np

from s2m2.data.inspection.duplicates import equal_groups


def slow_groups(hashes: np.ndarray, readable: np.ndarray) -> list[list[int]]:
    members: dict[bytes, list[int]] = {}
    for row in range(len(hashes)):
        if readable[row]:
            members.setdefault(hashes[row].tobytes(), []).append(row)
    return [rows for rows in members.values() if len(rows) > 1]


def test_groups_are_those_of_a_dictionary() -> None:
    rng = np.random.default_rng(0)
    for count in (0, 1, 2, 40, 300):
        # Few values, so that the halves of hashes agree by themselves far more often than both do.
        hashes = rng.integers(0, 12, (count, 2)).astype(np.uint64)
        readable = rng.random(count) < 0.8
        assert [group.tolist() for group in equal_groups(hashes, readable)] == slow_groups(hashes, readable)


def test_all_equal_is_one_group() -> None:
    (group,) = equal_groups(np.zeros((5, 2), dtype=np.uint64), np.ones(5, dtype=np.bool_))
    assert group.tolist() == [0, 1, 2, 3, 4]

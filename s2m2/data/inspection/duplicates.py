"""Images with equal pixels, found by their hashes."""

import numpy as np
from jaxtyping import Bool, Int64, UInt64


def equal_groups(hashes: UInt64[np.ndarray, "image 2"], readable: Bool[np.ndarray, " image"]) -> list[Int64[np.ndarray, " member"]]:
    """Rows of readable images with equal hashes, two or more a group; rows ascend, groups are in order of their first row.

    Two different images share 128 bits by chance with a probability below 1e-24 even among ten million.
    """
    rows = np.flatnonzero(readable)
    order = np.lexsort((rows, hashes[rows, 1], hashes[rows, 0]))
    ordered = rows[order]
    equal = (hashes[ordered[1:]] == hashes[ordered[:-1]]).all(axis=1)
    # A group is a run of equal neighbors: it starts where `equal` turns true and ends where it turns false.
    edges = np.flatnonzero(np.diff(np.concatenate([[False], equal, [False]]).astype(np.int8)))
    groups = [ordered[start : stop + 1] for start, stop in edges.reshape(-1, 2).tolist()]
    return sorted(groups, key=lambda group: int(group[0]))

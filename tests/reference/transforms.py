"""Feature transforms of one task in NumPy, feature by feature."""

from collections.abc import Sequence

import numpy as np

STEPS = {"cl2n": ["center_base", "unit"], "peme": ["power", "unit", "center_base", "unit"]}


def transform(names: Sequence[str], support: np.ndarray, query: np.ndarray, base: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Support and queries "row dim" after the named transforms; the base features go along as far as they can."""
    for name in [step for one in names for step in STEPS.get(one, [one])]:
        if name == "unit":
            support, query, base = (np.array([row / np.sqrt((row * row).sum()) for row in rows]) for rows in (support, query, base))
        elif name == "rectify":
            support, query, base = (np.where(rows > 0, rows, 0) for rows in (support, query, base))
        elif name == "power":
            support, query, base = (np.sqrt(rows + 1e-6) for rows in (support, query, base))
        else:
            mean = sum(base) / len(base) if name == "center_base" else sum(support) / len(support)
            support, query, base = support - mean, query - mean, base - mean
    return support, query

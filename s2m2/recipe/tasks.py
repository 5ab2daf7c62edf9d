"""Names of the ways to draw few-shot tasks."""

from typing import Literal

ProtocolName = Literal["fixed", "s2m2", "dirichlet", "variable"]
"""fixed: as many queries of every class; s2m2: all images that are not support, as S2M2 reports them; dirichlet: as many queries in
all, shared out among the classes by a Dirichlet draw; variable: ways and shots drawn by Meta-Dataset's rule."""

"""Few-shot image classification with self-supervised manifold mixup (S2M2, Mangla et al., WACV 2020).

Read `s2m2.commands` from top to bottom to see how the parts meet; every other package is a part.
"""

__version__ = "0.1.0"

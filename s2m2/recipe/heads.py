"""Names of the few-shot heads."""

from typing import Literal

HeadName = Literal[
    "cosine",
    "nearest_mean",
    "nearest_cosine",
    "cosine_converged",
    "logistic",
    "svm",
    "ridge",
    "calibrated",
    "soft_kmeans",
    "bd_cspn",
    "laplacian_shot",
    "tim",
    "alpha_tim",
    "pt_map",
    "transductive_finetuning",
]

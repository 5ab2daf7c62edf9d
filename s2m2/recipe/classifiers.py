"""Names of the few-shot classifiers."""

from typing import Literal

ClassifierName = Literal[
    "cosine",
    "nearest_mean",
    "cosine_centroid",
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

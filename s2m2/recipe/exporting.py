"""Settings of `s2m2 export`, which makes a folder to give away of the weights of a run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from s2m2.recipe.checks import check

Precision = Literal["stored", "float32", "float16", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Which weights are exported, how, and what their license is."""

    run: Path
    """Directory of the run whose weights are given away."""
    output: Path
    """Folder that is made and must not be there yet; `s2m2 evaluate --run` scores it like a run."""
    stage: Literal["pretrain", "finetune"] | None = None
    """Stage whose best weights are exported. By default: the last one that is finished."""
    precision: Precision = "stored"
    """Numbers that kernels and matrices are stored as. float16 and bfloat16 halve the file, and float16 rounds numbers below 6e-5 coarsely;
    what has one number a channel, such as the statistics of batch normalization, stays float32, and whoever loads the weights computes in
    float32. stored: as they lie in the run, which is float32 unless the run is an export itself."""
    license: str | None = None
    """License of the weights, for the model card: an identifier such as apache-2.0 or cc-by-4.0, or words of your own. null: the card says
    that none is stated."""
    data_license: str | None = None
    """License or terms of the images that the weights were trained on, for the model card. null: the card says that none is stated."""

    def __post_init__(self) -> None:
        for name in ("license", "data_license"):
            stated = getattr(self, name)
            check(stated is None or bool(stated.strip()), name, repr(stated), "words, or left out")

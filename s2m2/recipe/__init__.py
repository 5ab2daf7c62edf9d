"""Every setting of a run: one frozen dataclass tree, read from YAML and flags. Imports no torch, so that help answers at once.

Each field is followed by its meaning and unit; the command line's help is made from these texts.
"""

from s2m2.recipe.analysis import AnalyzeConfig
from s2m2.recipe.data import AugmentConfig, DataConfig
from s2m2.recipe.doctor import DoctorConfig
from s2m2.recipe.evaluation import CosineClassifierConfig, EvaluateConfig
from s2m2.recipe.exporting import ExportConfig
from s2m2.recipe.importing import ImportConfig
from s2m2.recipe.model import ModelConfig
from s2m2.recipe.preparation import PrepareConfig
from s2m2.recipe.runtime import RuntimeConfig
from s2m2.recipe.training import FinetuneConfig, OptimizerConfig, PretrainConfig, TrainingConfig, ValidationConfig
from s2m2.recipe.tree import Recipe, build_recipe, differences, one_line, read_recipe, recipe_parser, recipe_to_yaml

__all__ = [
    "AnalyzeConfig",
    "AugmentConfig",
    "CosineClassifierConfig",
    "DataConfig",
    "DoctorConfig",
    "EvaluateConfig",
    "ExportConfig",
    "FinetuneConfig",
    "ImportConfig",
    "ModelConfig",
    "OptimizerConfig",
    "PrepareConfig",
    "PretrainConfig",
    "Recipe",
    "RuntimeConfig",
    "TrainingConfig",
    "ValidationConfig",
    "build_recipe",
    "differences",
    "one_line",
    "read_recipe",
    "recipe_parser",
    "recipe_to_yaml",
]

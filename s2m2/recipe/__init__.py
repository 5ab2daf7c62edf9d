"""Every setting of a run: one frozen dataclass tree, read from YAML and flags. Imports no torch, so that help answers at once.

Each field is followed by its meaning and unit; the command line's help is made from these texts.
"""

from s2m2.recipe.command_settings import (
    AnalyzeConfig,
    CompareConfig,
    DoctorConfig,
    ExportConfig,
    FeatureFileConfig,
    FitConfig,
    ImportConfig,
    PredictConfig,
    PrepareConfig,
    ProfileConfig,
    ServeConfig,
    SuggestConfig,
    TableConfig,
)
from s2m2.recipe.data import AugmentConfig, DataConfig
from s2m2.recipe.evaluation import EvaluateConfig
from s2m2.recipe.model import ModelConfig
from s2m2.recipe.runtime import RuntimeConfig
from s2m2.recipe.training import FinetuneConfig, MixConfig, OptimizerConfig, PretrainConfig, TrainingConfig, ValidationConfig
from s2m2.recipe.tree import Recipe, build_recipe, differences, one_line, parse_tree, read_recipe, recipe_parser, recipe_to_yaml

__all__ = [
    "AnalyzeConfig",
    "AugmentConfig",
    "CompareConfig",
    "DataConfig",
    "DoctorConfig",
    "EvaluateConfig",
    "ExportConfig",
    "FeatureFileConfig",
    "FinetuneConfig",
    "FitConfig",
    "ImportConfig",
    "MixConfig",
    "ModelConfig",
    "OptimizerConfig",
    "PredictConfig",
    "PrepareConfig",
    "PretrainConfig",
    "ProfileConfig",
    "Recipe",
    "RuntimeConfig",
    "ServeConfig",
    "SuggestConfig",
    "TableConfig",
    "TrainingConfig",
    "ValidationConfig",
    "build_recipe",
    "differences",
    "one_line",
    "parse_tree",
    "read_recipe",
    "recipe_parser",
    "recipe_to_yaml",
]

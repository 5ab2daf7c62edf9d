# shim
from s2m2.training.objectives import Objective as Pretraining
from s2m2.training.objectives import base_classifier as class_head
from s2m2.training.objectives import check_mix_stages as check_mix_stages
from s2m2.training.objectives import finetune_objective as finetune_objective
from s2m2.training.objectives import pretrain_objective as pretrain_objective

__all__ = ["Pretraining", "check_mix_stages", "class_head", "finetune_objective", "pretrain_objective"]

# shim
from s2m2.pipeline import (  # noqa: F401
    base_images,
    check_finetuning,
    check_pretrained,
    check_pretraining,
    compile_where_asked,
    finetune_stage,
    fresh_networks,
    pretrain_stage,
)

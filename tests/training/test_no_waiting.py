"""Views, losses and mixtures on a simulated GPU: nothing asks it for a number, and nothing is on two devices.

Torch's fake tensors know shapes and devices and compute nothing. To read a value of one is an error, as is to combine two of different
devices. In a process without run-time checks, which would refuse what stands in for a GPU's generator.
"""

import subprocess
import sys

PROGRAM = """
import warnings

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import s2m2.random
from s2m2.data.augment import _logarithms, augment
from s2m2.models import build_backbone
from s2m2.recipe import DataConfig, FinetuneConfig, ModelConfig, PretrainConfig, Recipe
from s2m2.recipe import MixConfig
from s2m2.random import StepStream, seed_for
from s2m2.training.objectives import finetune_objective, pretrain_objective

warnings.filterwarnings("ignore")


class OnGpu:
    device = torch.device("cuda:0")


def generator_for(seed, *purpose, device="cpu"):
    return torch.Generator().manual_seed(seed_for(seed, *purpose)) if torch.device(device).type == "cpu" else OnGpu()


def checked(sampler):
    def sample(*shape, generator, device="cpu", **others):
        on_gpu = isinstance(generator, OnGpu)
        assert on_gpu == (torch.device(device).type == "cuda"), "a generator samples on another device than its own"
        return sampler(*shape, device=device, **others, **({} if on_gpu else {"generator": generator}))

    return sample


class Copies(TorchDispatchMode):
    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = operation(*args, **kwargs)
        tensors = [[leaf for leaf in tree_leaves(part) if isinstance(leaf, torch.Tensor)] for part in ((args, kwargs), result)]
        before, after = ({tensor.device.type for tensor in part} for part in tensors)
        if len(before | after) > 1 and not kwargs.get("non_blocking"):
            raise AssertionError(f"{operation} waits for a copy from {before} to {after}")
        return result


def moved(module):
    for part in module.modules():
        for values, kind in ((part._parameters, torch.nn.Parameter), (part._buffers, lambda tensor: tensor)):
            for name, value in values.items():
                values[name] = kind(torch.empty(value.shape, dtype=value.dtype, device="cuda")) if value is not None else None
    return module


def losses(recipe, tune):
    config = recipe.finetune if tune else recipe.pretrain
    backbone = build_backbone(recipe.model, 28)
    objective = pretrain_objective(recipe, backbone.feature_dim, 5)
    objective = finetune_objective(recipe, objective) if tune else objective
    with unreal:
        moved(backbone), moved(objective)
        size = config.batch_size * objective.batches
        images, labels = torch.empty(size, 32, 32, 3, dtype=torch.uint8, device="cuda"), torch.zeros(size, dtype=torch.int64, device="cuda")
        for number in range(2):  # the first copies what is kept on the device
            stream = StepStream(seed=0, stage=config.stage, step=number, batch_size=config.batch_size)
            with Copies() if number else torch.enable_grad():
                parts = images.split(config.batch_size)
                views = [torch.cat([augment(part, recipe.data, stream, view) for part in parts]) for view in range(objective.views)]
                terms = objective(backbone, torch.stack(views), labels, stream)
        assert terms.total.device.type == "cuda"
        assert all(part.device.type == "cuda" for part in terms.parts.values())


s2m2.random.generator_for = generator_for
for name in ("rand", "randint"):
    setattr(torch, name, checked(getattr(torch, name)))
data = DataConfig(image_size=28, resize_ratio=1.15)
_logarithms(data.augment.ratio)
unreal = FakeTensorMode()
plain = {"data": data, "model": ModelConfig(backbone="conv4", width=8), "finetune": FinetuneConfig(batch_size=32)}
for objective in ("supervised", "rotation", "exemplar", "mixup"):
    recipe = Recipe(**plain, pretrain=PretrainConfig(batch_size=32, objective=objective))
    losses(recipe, False)
    if objective != "mixup":
        losses(recipe, True)
losses(Recipe(**plain, pretrain=PretrainConfig(batch_size=32, rotations="all")), False)
mixes = [{"partners": "class"}, {"partners": "second_batch"}, {"num_images": 3}, {"per_sample": True}, {"prob": 0.5}]
for mix in (*mixes, {"loss": "binary_cross_entropy"}, {"alpha": 0.0}, {"stages": (-1,)}):
    losses(Recipe(**plain | {"finetune": FinetuneConfig(batch_size=32, mix=MixConfig(**mix))}), True)
losses(Recipe(**plain | {"model": ModelConfig(backbone="resnet12", width=8)}), True)
print("done")
"""


def test_no_step_asks_the_gpu_for_a_number_or_waits_for_a_copy() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == "done\n"

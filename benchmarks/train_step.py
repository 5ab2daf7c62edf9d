"""Images a second and memory of a training step: bare (a), in our loop (b) and in a conventional pipeline (c), alternating.

(a) forward, backward and update on a batch on the device. (b) the step of `s2m2.training`: the same with reading, augmentation
and all sampling. (c) `benchmarks.conventional`: Pillow and torchvision in the workers of a DataLoader, float32, eager. (a) and (b) rotate
an image once at random, (c) stacks all four rotations, so images a second are given as base images and as passes through the network.
In bfloat16 on a CPU also (d): the loop (b) in float32. Images are random, of 64 classes.
"""

import argparse
import ctypes
import gc
import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.conventional import Conventional, Images
from benchmarks.float32 import products_like_convolutions
from benchmarks.train_step_report import PASSES, SIDES, Row, compares_float32, report, speed_line
from s2m2.data.dataset import LabeledImages
from s2m2.errors import InputError
from s2m2.io import write_text
from s2m2.models import BUILDERS, Backbone, build_backbone, initialize
from s2m2.random import generator_for
from s2m2.recipe import AugmentConfig, DataConfig, FinetuneConfig, ModelConfig, OptimizerConfig, PretrainConfig, Recipe, TrainingConfig
from s2m2.recipe.runtime import RuntimeConfig
from s2m2.recipe.training import ObjectiveName
from s2m2.training.compiling import compile_networks
from s2m2.training.devices import build_fabric
from s2m2.training.objectives import Objective, finetune_objective, pretrain_objective
from s2m2.training.precision import resolve_precision
from s2m2.training.profiling import Block, alternate, bare_step, block_of
from s2m2.training.step import StageSettings, TrainingStep, prepare

CLASSES, COUNT, SIZE = 64, 4096, 32
CPU_SIZES = {"conv4": (32, 8), "resnet12": (8, 1), "resnet18": (8, 1), "wrn28_10": (4, 1)}
"""Images of a step and steps of a repeat on a CPU; on a GPU 256 and 20."""


def recipe_of(backbone: str, objective: str, batch_size: int, rotations: str, width: int | None) -> tuple[Recipe, TrainingConfig]:
    """The recipe of one row, and the stage of it that is measured."""
    optimizer = OptimizerConfig(learning_rate=0.01)
    pretraining: ObjectiveName = "rotation" if objective == "finetune" else objective  # type: ignore[assignment]
    recipe = Recipe(
        data=DataConfig(image_size=SIZE, resize_ratio=1.15, augment=AugmentConfig(flip=0.5)),
        model=ModelConfig(backbone=backbone, width=width),
        pretrain=PretrainConfig(objective=pretraining, rotations=rotations, batch_size=batch_size, optimizer=optimizer, epochs=10_000),  # type: ignore[arg-type]
        finetune=FinetuneConfig(batch_size=batch_size, optimizer=optimizer, epochs=10_000),
    )
    return recipe, recipe.finetune if objective == "finetune" else recipe.pretrain


def networks(recipe: Recipe, config: TrainingConfig) -> tuple[Backbone, Objective]:
    """Fresh networks of a stage."""
    backbone = build_backbone(recipe.model, SIZE, generator_for(0, "backbone"))
    objective = pretrain_objective(recipe, backbone.feature_dim, CLASSES)
    initialize(objective, generator_for(0, "heads"))
    return backbone, finetune_objective(recipe, objective) if isinstance(config, FinetuneConfig) else objective


def peak_memory(work: Callable[[], object], device: torch.device) -> float:
    """Peak memory in MiB that a call adds to the memory in use before; on a CPU that of this process, on Linux only."""
    gc.collect()
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)  # freed memory would be reused, and not be measured
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    if not Path("/proc/self/clear_refs").exists():
        return float("nan")
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = _resident("VmRSS")
    work()
    return (_resident("VmHWM") - before) / 1024


def _resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def matrix_block(device: torch.device, precision: str) -> tuple[Block, int]:
    """Matrix products of the arithmetic of the convolutions, and the operations of one repeat.

    On a GPU enough of them that its clock falls to what it holds in long work, as in the steps.
    """
    size, times = (8192, 200) if device.type == "cuda" else (1024, 5)
    one, other = (torch.randn(size, size, device=device, dtype=torch.bfloat16 if "bf16" in precision else torch.float32) for _ in range(2))
    product = torch.empty_like(one)

    def work() -> None:
        with products_like_convolutions(device):
            for _ in range(times):
                torch.mm(one, other, out=product)

    return lambda _: work, 2 * size**3 * times


def conventional_block(conventional: Conventional, steps: int, total: int) -> Block:
    """Steps of the conventional pipeline on new workers, timed once these are at full speed.

    Workers begin together, so their first batches come all at once: those made in advance are trained on untimed.
    """

    def ready(repeat: int) -> Callable[[], object]:
        batches = conventional.batches()

        def do(number: int) -> None:
            conventional.step(number, *next(batches))

        for number in range(conventional.ahead - 1):  # `block_of` does the last one
            do(number)
        return block_of(do, steps, total)(repeat)

    return ready


def in_training(step: TrainingStep) -> TrainingStep:
    """The step, with its networks in training mode."""
    step.networks.train()
    return step


def sizes(backbone: str, options: argparse.Namespace, device: torch.device) -> tuple[int, int]:
    """Images of a step and steps of a repeat, as many from each worker of the conventional pipeline: their batches come in bursts."""
    batch_size, steps = CPU_SIZES[backbone] if device.type == "cpu" else (256, 20)
    steps = options.steps or steps
    return options.batch_size or batch_size, steps + -steps % max(options.workers, 1)


def measure(backbone: str, objective: str, options: argparse.Namespace, fabric: Fabric, images: LabeledImages) -> Row:
    """One row: all sides in turn."""
    device = fabric.device
    batch_size, steps = sizes(backbone, options, device)
    recipe, config = recipe_of(backbone, objective, batch_size, "one", options.width)
    conventional_recipe, conventional_config = recipe_of(backbone, objective, batch_size, "all", options.width)
    settings = StageSettings(config=config, data=recipe.data, seed=0, channels_last=True, checkpoint_seconds=1e9, validate_start=False)
    modules = networks(recipe, config)
    if options.compile:
        torch.compiler.reset()  # graphs of all rows count against one limit, as they belong to code that networks share
        torch.compiler.config.fail_on_recompile_limit_hit = True  # instead of a silent fallback to eager
        compile_networks(*modules)
    step = in_training(TrainingStep(fabric, prepare(fabric, *modules, settings), images, settings))
    bare = bare_step(step)
    loaded = Images(images.images, images.labels, recipe.data, step.views)
    conventional = Conventional(loaded, *networks(conventional_recipe, conventional_config), conventional_config, device, options.workers)
    matrix, matrix_flops = matrix_block(device, options.precision)
    blocks: dict[str, Block] = {
        "bare": block_of(bare, steps, step.total),
        "loop": block_of(step, steps, step.total),
        "conventional": conventional_block(conventional, steps, step.total),
        "matrix": matrix,
    }
    if compares_float32(options):
        slow = build_fabric(RuntimeConfig(accelerator="cpu", precision="32-true", threads=options.threads))
        blocks["float32"] = block_of(
            in_training(TrainingStep(slow, prepare(slow, *networks(recipe, config), settings), images, settings)), steps, step.total
        )
    taken = alternate(blocks, options.repeats, device)
    with FlopCounterMode(display=False) as counter, torch.compiler.set_stance("force_eager"):
        bare(0)
    memory = {name: peak_memory(blocks[name](0), device) for name in SIDES}
    return Row(
        backbone=backbone,
        objective=objective,
        batch_size=batch_size,
        steps=steps,
        taken=taken,
        flops=counter.get_total_flops(),
        matrix_flops=matrix_flops,
        memory=memory,
    )


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbones", nargs="+", default=["conv4", "resnet12", "wrn28_10"], choices=list(BUILDERS))
    parser.add_argument("--objectives", nargs="+", default=list(PASSES), choices=list(PASSES))
    parser.add_argument("--device", default="cuda" if cuda else "cpu", choices=["cpu", "cuda"])
    parser.add_argument("--precision", choices=["32-true", "bf16-mixed"], help="of (a) and (b); by default what training chooses")
    parser.add_argument("--width", type=int, help="channels of the first stage; by default the backbone's own")
    parser.add_argument("--compile", action="store_true", help="compile the networks of (a) and (b)")
    parser.add_argument("--batch-size", type=int, default=0, help="base images of a step; 0: as fits the backbone and device")
    parser.add_argument("--steps", type=int, default=0, help="steps of a repeat, rounded up to as many from each worker; 0: as fits")
    parser.add_argument("--repeats", type=int, default=5, help="timed repeats after one that is not counted")
    parser.add_argument("--workers", type=int, default=min(os.cpu_count() or 1, 8), help="DataLoader workers of (c)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads of torch")
    parser.add_argument("--output", type=Path, help="file of the report, whole after every row; by default it is only printed")
    options = parser.parse_args(arguments)
    try:
        for backbone in options.backbones:
            ModelConfig(backbone=backbone, width=options.width)
    except InputError as error:
        parser.error(f"argument --width: {str(error).removeprefix('--model.width ')}")
    options.precision = options.precision or resolve_precision(RuntimeConfig(), options.device)
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write the report."""
    options = parse(arguments)
    fabric = build_fabric(RuntimeConfig(accelerator=options.device, precision=options.precision, threads=options.threads))
    generator = generator_for(0, "benchmark")
    images = LabeledImages(
        images=torch.randint(0, 256, (COUNT, SIZE, SIZE, 3), dtype=torch.uint8, generator=generator),
        indices=torch.arange(COUNT),
        labels=torch.arange(COUNT) % CLASSES,
    )
    before, rows, text = os.getloadavg()[0], [], ""
    for backbone in options.backbones:
        for objective in options.objectives:
            rows.append(measure(backbone, objective, options, fabric, images))
            text = report(rows, options, fabric.device, (before, os.getloadavg()[0]))
            if options.output:
                write_text(options.output, text)
            print(speed_line(rows[-1], fabric.device), flush=True)
    print(text)


if __name__ == "__main__":
    main()

"""Compiled networks: one graph of a stage for each size of batch, nothing compiled again, and the same losses.

In a process without run-time checks, which torch cannot look through; the graphs are those of torch's own backend, run without making C++
of them, which would take minutes on a busy machine.
"""

import subprocess
import sys

PROGRAM = """
import torch
from torch._dynamo.utils import counters
from s2m2.models import build_backbone, initialize
from s2m2.recipe import FinetuneConfig, ModelConfig, PretrainConfig, Recipe
from s2m2.random import StepStream, generator_for
from s2m2.training.objectives import finetune_objective, pretrain_objective, sample_step_mix
from s2m2.training.compiling import compile_networks, uncompiled

torch.set_num_threads(1)
BATCH = 8
recipe = Recipe(
    model=ModelConfig(backbone="conv4", width=4), pretrain=PretrainConfig(batch_size=BATCH), finetune=FinetuneConfig(batch_size=BATCH)
)
generator = generator_for(0, "images")
views, labels = torch.randn(1, BATCH, 3, 28, 28, generator=generator), torch.randint(5, (BATCH,), generator=generator)


def losses(compiled, steps):
    backbone = build_backbone(recipe.model, 28, generator_for(0, "backbone"))
    inner = pretrain_objective(recipe, backbone.feature_dim, 5)
    initialize(inner, generator_for(0, "heads"))
    objective = finetune_objective(recipe, inner)
    if compiled:
        compile_networks(backbone, objective, backend="aot_eager")
    values, graphs = [], []
    for step in steps:
        loss = objective(backbone, views, labels, StepStream(seed=0, stage="finetune", step=step, batch_size=BATCH)).total
        loss.backward()
        values.append(float(loss))
        graphs.append(counters["stats"]["unique_graphs"])
    with uncompiled(compiled), torch.inference_mode():
        features = backbone.eval()(torch.randn(3, 3, 28, 28, generator=generator_for(0, "others")))
    graphs.append(counters["stats"]["unique_graphs"])
    return values, graphs, features, len(backbone.stages)


steps = list(range(24))
eager, none, features, _ = losses(False, steps)
assert none[-1] == 0
compiled, graphs, compiled_features, stages = losses(True, steps)
assert torch.allclose(features, compiled_features, atol=1e-3)
streams = [StepStream(seed=0, stage="finetune", step=step, batch_size=BATCH) for step in steps[:12]]
stages_mixed = {sample_step_mix(recipe.finetune.mix, stages, labels, stream).stage for stream in streams}
difference = max(abs(one - other) for one, other in zip(eager, compiled))
print(len(stages_mixed), stages, graphs[11], graphs[-1], difference, sum(counters["graph_break"].values()))
"""


def test_whichever_stage_is_mixed_the_same_graphs_serve_it_and_nothing_is_compiled_again_or_for_validation() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    mixed, stages, settled, at_end, difference, breaks = done.stdout.split()
    assert int(mixed) == int(stages)  # every stage was mixed in the first half
    # Every stage of the backbone, and the class head: on mixed and on rotated images, of which there are fewer. The rotation head: one.
    assert int(settled) == int(at_end) == 2 * (int(stages) + 1) + 1
    assert int(breaks) == 0
    assert float(difference) < 1e-3

"""The device of a run."""

import platform
import subprocess
import sys

import pytest
import torch
from lightning_fabric.utilities.rank_zero import rank_zero_info

from s2m2.commands.device import state_float32

PROGRAM = """
import resource
import torch
from s2m2.commands.device import build_fabric
from s2m2.recipe import RuntimeConfig

build_fabric(RuntimeConfig(accelerator="cpu", threads=1))


def step():
    return [torch.ones(4_000_000) for _ in range(5)]  # 16 MB each, as the activations of a small network


step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc, whose allocator is set")
def test_a_step_does_not_ask_the_system_again_for_memory_that_the_last_one_freed() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    # 20 tensors of 3,907 pages. By itself the allocator takes them anew from the system: some 78,000 faults.
    assert int(done.stdout) < 4_000


def test_float32_on_a_gpu_is_stated_whatever_was_set_before(caplog: pytest.LogCaptureFixture) -> None:
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = True, False
    state_float32()
    assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.backends.cudnn.allow_tf32
    with caplog.at_level("INFO"):
        rank_zero_info("you should set `torch.set_float32_matmul_precision('high')`")
        rank_zero_info("something else")
    assert caplog.messages == ["something else"]

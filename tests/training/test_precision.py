"""The arithmetic of training: asked of the device, said in one line, changed by a flag."""

from typing import Any

import pytest
import torch
from lightning_fabric.utilities.rank_zero import rank_zero_info

from s2m2.recipe import RuntimeConfig
from s2m2.training.devices import build_fabric
from s2m2.training.precision import precision_words, resolve_precision, silence_fabric


@pytest.mark.parametrize(
    ("capabilities", "accelerator", "expected"),
    [
        ({"avx512_bf16": True}, "cpu", "bf16-mixed"),
        ({"amx_bf16": True, "avx512_bf16": False}, "cpu", "bf16-mixed"),
        ({"avx512_bf16": False, "avx512_f": True}, "cpu", "32-true"),
        ({}, "cpu", "32-true"),
        ({"bf16": True, "architecture": "aarch64"}, "cpu", "32-true"),
        ({"avx512_bf16": True}, "mps", "32-true"),
    ],
)
def test_bfloat16_is_chosen_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, Any], accelerator: str, expected: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert resolve_precision(RuntimeConfig(), accelerator) == expected


def test_an_older_torch_that_cannot_be_asked_trains_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert resolve_precision(RuntimeConfig(), "cpu") == "32-true"


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), "32-true"), ((8, 0), "bf16-mixed"), ((9, 0), "bf16-mixed")])
def test_bfloat16_is_chosen_where_the_gpu_has_it(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: str) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert resolve_precision(RuntimeConfig(), "cuda") == expected


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_flag_decides_whatever_the_device(precision: Any) -> None:
    config = RuntimeConfig(precision=precision, accelerator="cpu", threads=1)
    assert resolve_precision(config, "cpu") == precision
    with build_fabric(config).autocast():
        assert torch.is_autocast_enabled("cpu") == (precision == "bf16-mixed")


def test_a_choice_names_the_flag_that_changes_it() -> None:
    assert precision_words(RuntimeConfig(), "bf16-mixed").endswith("--runtime.precision 32-true for float32)")
    assert precision_words(RuntimeConfig(), "32-true") == "float32 (no bfloat16 on this device)"
    assert precision_words(RuntimeConfig(precision="32-true"), "32-true") == "float32"


def test_fabric_says_nothing_on_arithmetic(caplog: pytest.LogCaptureFixture) -> None:
    silence_fabric()
    with caplog.at_level("INFO"):
        rank_zero_info("you should set `torch.set_float32_matmul_precision('high')`")
        rank_zero_info("Using bfloat16 Automatic Mixed Precision (AMP)")
        rank_zero_info("something else")
    assert caplog.messages == ["something else"]

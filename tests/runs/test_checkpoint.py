"""Checkpoints: whole, exact, safe to read, and clear when they cannot be used."""

import json
import pickle
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from s2m2.data.dataset import ImageDataset
from s2m2.errors import InputError
from s2m2.io import CHECKSUM
from s2m2.models import LinearHead
from s2m2.pipeline import fresh_networks
from s2m2.recipe import DataConfig, ModelConfig, Recipe
from s2m2.runs.checkpoint import (
    Outcome,
    Progress,
    flat_key,
    load_best,
    load_head,
    load_last,
    load_outcome,
    read_tensors,
    save_best,
    save_last,
    save_outcome,
    save_tensors,
)
from s2m2.training.optim import build_optimizer
from tests.models.tiny import tiny_backbone

VERSION_010 = Path(__file__).with_name("version_010")


def networks() -> tuple[nn.Module, nn.Module, torch.optim.Optimizer]:
    backbone, head = tiny_backbone("conv4"), LinearHead(4, 3)
    return backbone, head, torch.optim.Adam([*backbone.parameters(), *head.parameters()])


def moved_networks() -> tuple[nn.Module, nn.Module, torch.optim.Optimizer]:
    """After one step, so that the optimizer remembers something of every weight."""
    backbone, head, optimizer = networks()
    for values in [*backbone.parameters(), *head.parameters()]:
        values.grad = torch.randn_like(values)
    optimizer.step()
    return backbone, head, optimizer


def test_weights_optimizer_and_progress_come_back_bit_for_bit(tmp_path: Path) -> None:
    backbone, head, optimizer = networks()
    for values in backbone.parameters():
        values.grad = torch.randn_like(values)
    optimizer.step()
    progress = Progress(step=5, best_score=0.5, best_epoch=1, waited=2, seconds=3.5)
    save_last(tmp_path / "last.pt", backbone, head, optimizer, progress)
    other_backbone, other_head, other_optimizer = networks()
    assert load_last(tmp_path / "last.pt", other_backbone, other_head, other_optimizer) == progress
    for first, second in zip(backbone.state_dict().values(), other_backbone.state_dict().values(), strict=True):
        assert torch.equal(first, second)
    assert str(optimizer.state_dict()) == str(other_optimizer.state_dict())


def test_a_checkpoint_of_a_cpu_goes_on_where_the_optimizer_is_fused(tmp_path: Path) -> None:
    backbone, head, optimizer = moved_networks()
    save_last(tmp_path / "last.pt", backbone, head, optimizer, Progress(step=1))
    on_device = [
        torch.empty_like(values, device="meta").requires_grad_() for values in [*backbone.parameters(), *head.parameters()]
    ]  # another device than the CPU
    moved = torch.optim.Adam(on_device)
    moved.param_groups[0]["fused"] = True
    load_last(tmp_path / "last.pt", backbone, head, moved)
    assert moved.param_groups[0]["fused"] is True
    assert {value.device.type for state in moved.state.values() for value in state.values()} == {"meta"}  # the count of steps too


def test_what_the_optimizer_remembers_takes_the_memory_order_of_the_weights(tmp_path: Path) -> None:
    backbone, head, optimizer = moved_networks()
    save_last(tmp_path / "last.pt", backbone, head, optimizer, Progress(step=1))
    other_backbone, other_head, _ = networks()
    other_backbone.to(memory_format=torch.channels_last)
    other = torch.optim.Adam([*other_backbone.parameters(), *other_head.parameters()])
    load_last(tmp_path / "last.pt", other_backbone, other_head, other)
    for weight, moments in other.state.items():
        assert moments["exp_avg"].stride() == moments["exp_avg_sq"].stride() == weight.stride()
    for first, second in zip(optimizer.state.values(), other.state.values(), strict=True):
        assert torch.equal(first["exp_avg"], second["exp_avg"])
        assert torch.equal(first["step"], second["step"])


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("full"), RuntimeError("CUDA error: out of memory")])
def test_a_device_that_is_full_is_no_damaged_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    backbone, head, optimizer = networks()
    save_last(tmp_path / "last.pt", backbone, head, optimizer, Progress(step=1))

    def full(state: object) -> None:
        raise error

    monkeypatch.setattr(optimizer, "load_state_dict", full)
    with pytest.raises(type(error), match=str(error)):
        load_last(tmp_path / "last.pt", backbone, head, optimizer)


def test_without_a_checkpoint_a_stage_begins_at_step_zero(tmp_path: Path) -> None:
    assert load_last(tmp_path / "last.pt", *networks()) == Progress()


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "pickle"])
def test_a_damaged_checkpoint_is_one_clear_line_and_runs_no_code(tmp_path: Path, damage: str) -> None:
    path, trap = tmp_path / "last.pt", tmp_path / "trap"
    save_last(path, *networks(), Progress())
    whole = path.read_bytes()

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (trap,)  # type: ignore[return-value]

    path.write_bytes({"truncated": whole[:-100], "empty": b"", "text": b"hello", "pickle": pickle.dumps(Trap())}[damage])
    with pytest.raises(InputError, match=r"last\.pt is damaged") as caught:
        load_last(path, *networks())
    assert "\n" not in str(caught.value)
    assert not trap.exists()


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    backbone, head, _ = networks()
    save_best(tmp_path / "best.safetensors", backbone, head, {})
    with pytest.raises(InputError, match="does not hold weights of this network"):
        load_best(tmp_path / "best.safetensors", tiny_backbone("resnet12"))


def test_best_weights_are_named_by_part_and_say_what_they_are(tmp_path: Path) -> None:
    backbone, head, _ = networks()
    save_best(tmp_path / "best.safetensors", backbone, nn.ModuleDict({"class_head": head}), {"stage": "pretrain", "epoch": 3})
    with safe_open(tmp_path / "best.safetensors", framework="pt") as stored:
        names = set(stored.keys())
        assert {name for name in names if not name.startswith("backbone.")} == {"heads.classifier.weight", "heads.classifier.bias"}
        assert stored.metadata().items() >= {"stage": "pretrain", "epoch": "3"}.items()
    assert read_tensors(tmp_path / "best.safetensors")[1] == {"stage": "pretrain", "epoch": "3"}
    other, other_head = tiny_backbone("conv4"), LinearHead(4, 3)
    with torch.no_grad():
        next(other.parameters()).add_(1)
    load_best(tmp_path / "best.safetensors", other, nn.ModuleDict({"heads": nn.ModuleDict({"classifier": other_head})}))
    assert torch.equal(next(other.parameters()), next(backbone.parameters()))
    assert torch.equal(other_head.weight, head.weight)


def test_equal_weights_are_equal_bytes(tmp_path: Path) -> None:
    backbone, head, _ = networks()
    about = {name: f"value of {name}" for name in ("stage", "epoch", "validation_score", "class", "é", "x", "y", "z")}
    for name, order in (("one", list(about)), ("two", list(reversed(about)))):
        save_best(tmp_path / name, backbone, head, {key: about[key] for key in order})
    content = (tmp_path / "one").read_bytes()
    assert content == (tmp_path / "two").read_bytes()
    names = list(json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"])
    assert names == sorted([*about, CHECKSUM])
    assert read_tensors(tmp_path / "one")[1] == about


@pytest.mark.parametrize(
    ("stored", "flat"),
    [
        ("backbone.stages.0.heads.weight", "backbone.stages.0.heads.weight"),
        ("objective.class_head.norm", "heads.classifier.norm"),
        ("objective.beside.class_head.norm", "heads.classifier.norm"),
        ("objective.beside.turn_head.bias", "heads.rotation.bias"),
        ("module.objective.beside.rotation_head.bias", "heads.rotation.bias"),
        ("module.backbone.stages.0.0.weight", "backbone.stages.0.0.weight"),
        ("auxiliary.heads.classifier.norm", "heads.classifier.norm"),
        ("heads.rotation.bias", "heads.rotation.bias"),
        ("n_averaged", "n_averaged"),
    ],
)
def test_keys_of_modules_and_of_older_files_are_flat_keys(stored: str, flat: str) -> None:
    assert flat_key(stored) == flat


def test_a_checkpoint_of_version_010_is_resumed(tmp_path: Path) -> None:
    backbone, head, optimizer = moved_networks()
    average = nn.ModuleDict({"module": nn.ModuleDict({"backbone": backbone, "objective": nn.ModuleDict({"class_head": head})})})
    state = {
        "backbone": backbone.state_dict(),
        "objective": {f"beside.class_head.{name}": value for name, value in head.state_dict().items()},
        "optimizer": optimizer.state_dict(),
        "progress": {"step": 7},
        "average": average.state_dict(),
    }
    torch.save(state, tmp_path / "last.pt")
    other_backbone, other_head, other_optimizer = networks()
    objective = nn.ModuleDict({"heads": nn.ModuleDict({"classifier": other_head})})
    other_average = deepcopy(nn.ModuleDict({"module": nn.ModuleDict({"backbone": other_backbone, "objective": objective})}))
    assert load_last(tmp_path / "last.pt", other_backbone, objective, other_optimizer, other_average).step == 7
    assert torch.equal(other_head.weight, head.weight)
    assert str(optimizer.state_dict()) == str(other_optimizer.state_dict())
    for value, expected in zip(other_average.state_dict().values(), average.state_dict().values(), strict=True):
        assert torch.equal(value, expected)


def test_an_error_while_writing_leaves_the_old_checkpoint_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.pt"
    save_last(path, *networks(), Progress(step=1))
    whole = path.read_bytes()

    def half_written(state: object, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", half_written)
    with pytest.raises(OSError, match="disk full"):
        save_last(path, *networks(), Progress(step=2))
    assert path.read_bytes() == whole
    assert [item.name for item in tmp_path.iterdir()] == ["last.pt"]


def test_an_outcome_comes_back(tmp_path: Path) -> None:
    outcome = Outcome(epochs=3, best_epoch=2, best_score=0.5, stopped_early=True, seconds=1.5)
    assert load_outcome(tmp_path / "outcome.json") is None
    save_outcome(tmp_path / "outcome.json", outcome)
    assert load_outcome(tmp_path / "outcome.json") == outcome


@pytest.mark.parametrize("within", ["", "inner.", "beside."])
def test_a_head_is_found_wherever_its_objective_has_it(tmp_path: Path, within: str) -> None:
    backbone, head, _ = networks()
    values = {f"objective.{within}class_head.{name}": value + 1 for name, value in head.state_dict().items()}
    values["objective.rotation_head.weight"] = torch.zeros(4, 4)
    save_tensors(tmp_path / "best.safetensors", {f"backbone.{name}": value for name, value in backbone.state_dict().items()} | values, {})
    other = LinearHead(4, 3)
    load_head(tmp_path / "best.safetensors", "class_head", other)
    assert all(torch.equal(other.state_dict()[name], value + 1) for name, value in head.state_dict().items())
    for name, wrong in (("class_head", LinearHead(4, 5)), ("norm_head", LinearHead(4, 3))):
        with pytest.raises(InputError, match=f"does not hold the {name} head of this network"):
            load_head(tmp_path / "best.safetensors", name, wrong)


def test_files_of_version_010_are_read_into_the_networks_of_today(small_glyphs: ImageDataset) -> None:
    # Written by 0.1.0: fine-tuning with rotation, conv4 of width 4, 32 classes, killed after 1 of 12 epochs.
    recipe = Recipe(data=DataConfig(image_size=28), model=ModelConfig(width=4))
    backbone, objective = fresh_networks(recipe, small_glyphs, Fabric(accelerator="cpu", devices=1))
    stored = load_file(VERSION_010 / "best.safetensors")
    assert "objective.beside.turn_head.weight" in stored
    load_best(VERSION_010 / "best.safetensors", backbone, objective)
    values = {flat_key(f"backbone.{name}"): value for name, value in backbone.state_dict().items()}
    values |= {flat_key(name): value for name, value in objective.state_dict().items()}
    assert values.keys() == {flat_key(name) for name in stored}
    assert all(torch.equal(values[flat_key(name)], value) for name, value in stored.items())

    state = torch.load(VERSION_010 / "last.pt", weights_only=True)
    optimizer = build_optimizer(recipe.finetune.optimizer, nn.ModuleList([backbone, objective]))
    progress = load_last(VERSION_010 / "last.pt", backbone, objective, optimizer)
    assert (progress.step, progress.best_epoch) == (state["progress"]["step"], state["progress"]["best_epoch"])
    assert torch.equal(objective.state_dict()[rotation_weight(objective)], state["objective"]["beside.turn_head.weight"])
    assert torch.equal(next(backbone.parameters()), next(iter(state["backbone"].values())))
    assert {flat_key(name) for name in state["average"]} == {*values, "n_averaged"}


def rotation_weight(objective: nn.Module) -> str:
    """The key of the rotation head's weight in the objective."""
    (key,) = (name for name in objective.state_dict() if flat_key(name) == "heads.rotation.weight")
    return key

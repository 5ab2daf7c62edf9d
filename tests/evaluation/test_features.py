import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from s2m2.errors import InputError
from s2m2.evaluation.features import (
    FeatureSet,
    concatenate,
    extract_features,
    extract_views,
    fingerprint_of,
    load_features,
    save_features,
)
from s2m2.random import generator_for

INDICES = torch.tensor([11, 2, 3, 5, 7, 0, 1])


def images() -> Tensor:
    return torch.randint(0, 256, (12, 4, 4, 3), generator=generator_for(0, "images")).byte()


def transform(batch: Tensor) -> Tensor:
    return batch.permute(0, 3, 1, 2).float() / 255


def network() -> nn.Module:
    """A network whose features depend on its mode, by batch statistics and by dropout."""
    layers = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.Dropout(0.5), nn.Flatten())
    for parameter in layers.parameters():
        nn.init.normal_(parameter, generator=generator_for(0, "weights"))
    return layers


def features() -> FeatureSet:
    values = torch.randn(4, 3, generator=generator_for(0, "features"))
    return FeatureSet(
        features=values, labels=torch.tensor([0, 1, 1, 0]), indices=torch.tensor([4, 5, 7, 9]), class_names=("a", "ö"), fingerprint="f0"
    )


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_features_are_those_of_each_image_alone_in_the_order_of_the_indices(batch_size: int) -> None:
    backbone = network()
    features = extract_features(backbone, images(), INDICES, transform, batch_size=batch_size)
    backbone.eval()
    for feature, index in zip(features, INDICES.tolist(), strict=True):
        torch.testing.assert_close(feature, backbone(transform(images()[index : index + 1]))[0].detach())


def test_extraction_leaves_weights_statistics_and_the_mode_of_every_module_as_they_were() -> None:
    backbone = network().train()
    backbone[1].eval()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    extract_features(backbone, images(), INDICES, transform, batch_size=4)
    assert [module.training for module in backbone] == [True, False, True, True]
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


def test_the_modes_come_back_after_an_error_too() -> None:
    backbone = network().train()
    modes: list[bool] = []

    def stop(batch: Tensor) -> Tensor:
        modes.extend(module.training for module in backbone.modules())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract_features(backbone, images(), INDICES, stop, batch_size=4)
    assert not any(modes)
    assert all(module.training for module in backbone.modules())


def test_features_can_be_trained_on_afterwards() -> None:
    features = extract_features(network(), images(), INDICES, transform, batch_size=4)
    weight = torch.ones(features.shape[1], requires_grad=True)
    (features @ weight).sum().backward()
    torch.testing.assert_close(weight.grad, features.sum(0))


def test_progress_counts_every_image() -> None:
    done: list[int] = []
    extract_features(network(), images(), INDICES, transform, batch_size=3, progress=done.append)
    assert done == [3, 3, 1]


def test_features_that_are_not_finite_are_an_error() -> None:
    backbone = network()
    nn.init.constant_(backbone[0].bias, float("nan"))
    with pytest.raises(InputError, match="not finite"):
        extract_features(backbone, images(), INDICES, transform, batch_size=4)


def test_pixel_features_are_the_transformed_images() -> None:
    assert torch.equal(extract_features(nn.Flatten(), images(), INDICES, transform, batch_size=3), transform(images())[INDICES].flatten(1))


def test_a_fingerprint_tells_names_types_shapes_values_and_texts_apart_but_not_the_order_of_the_tensors() -> None:
    weight, count = torch.arange(6.0).reshape(2, 3), torch.tensor(3)
    reference = fingerprint_of({"weight": weight, "count": count}, "data", "32")
    assert reference == fingerprint_of({"count": count, "weight": weight.clone()}, "data", "32")
    changed = weight.clone()
    changed[1, 2] += 1e-6
    others = [
        fingerprint_of({"weights": weight, "count": count}, "data", "32"),
        fingerprint_of({"weight": weight.reshape(3, 2), "count": count}, "data", "32"),
        fingerprint_of({"weight": weight.view(torch.int32), "count": count}, "data", "32"),
        fingerprint_of({"weight": changed, "count": count}, "data", "32"),
        fingerprint_of({"weight": weight, "count": count + 1}, "data", "32"),
        fingerprint_of({"weight": weight, "count": count}, "data3", "2"),
        fingerprint_of({"weight": weight, "count": count}, "data"),
        fingerprint_of({"weight": weight}, "data", "32"),
    ]
    assert len({reference, *others}) == 9
    assert len(reference) == 64


def test_a_fingerprint_takes_every_type_and_layout_of_tensor() -> None:
    weight = torch.arange(6.0).reshape(2, 3)
    assert fingerprint_of({"w": weight.T}) == fingerprint_of({"w": weight.T.contiguous()})
    assert fingerprint_of({"w": weight.bfloat16()}) != fingerprint_of({"w": weight.half()})
    assert fingerprint_of({"w": torch.empty(0)}) != fingerprint_of({})


def test_features_survive_their_file(tmp_path: Path) -> None:
    path = tmp_path / "features" / "novel.safetensors"
    save_features(path, features())
    loaded = load_features(path, "f0")
    assert loaded is not None
    assert [entry.name for entry in path.parent.iterdir()] == ["novel.safetensors"]
    for item in fields(FeatureSet):
        saved, read = getattr(features(), item.name), getattr(loaded, item.name)
        assert torch.equal(saved, read) if isinstance(saved, Tensor) else saved == read


def test_a_missing_file_or_one_of_another_fingerprint_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "novel.safetensors"
    assert load_features(path, "f0") is None
    save_features(path, features())
    assert load_features(path, "f1") is None
    assert load_features(tmp_path, "f0") is None


def test_a_file_cut_short_or_changed_in_one_byte_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "novel.safetensors"
    save_features(path, features())
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert load_features(path, "f0") is None
        path.write_bytes(whole[:position])
        assert load_features(path, "f0") is None
    path.write_bytes(whole)
    assert load_features(path, "f0") is not None


def test_a_file_of_version_0_1_is_read(tmp_path: Path) -> None:
    path, stored = tmp_path / "novel.safetensors", features()
    tensors = {"features": stored.features, "labels": stored.labels, "rows": stored.indices}
    metadata = {"format": "1", "fingerprint": "f0", "class_names": json.dumps(stored.class_names)}
    save_file(tensors, path, metadata={**metadata, "content": fingerprint_of(tensors, *stored.class_names)})
    loaded = load_features(path, "f0")
    assert loaded is not None
    assert torch.equal(loaded.indices, stored.indices)


def test_a_file_of_wrong_shapes_or_names_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "novel.safetensors"
    save_features(path, features())
    tensors = load_file(path)
    metadata = {"format": "1", "fingerprint": "f0", "class_names": '["a", "b"]'}
    corrupted_files: list[dict[str, Tensor]] = [
        {**tensors, "indices": tensors["indices"][:2].clone()},
        {**tensors, "features": tensors["features"].half()},
        {**tensors, "labels": tensors["labels"] + 1},
        {**tensors, "more": tensors["indices"].clone()},
        {"features": tensors["features"]},
    ]
    for corrupted in corrupted_files:
        content = fingerprint_of(corrupted, "a", "b")
        save_file(corrupted, path, metadata={**metadata, "content": content})
        assert load_features(path, "f0") is None


def test_several_views_are_averaged_and_get_positions() -> None:
    backbone = network().eval()

    def brighter(batch: Tensor, positions: Tensor) -> Tensor:
        return transform(batch) + positions[:, None, None, None]

    mean = extract_views(backbone, images(), INDICES, (lambda batch, _: transform(batch), brighter), batch_size=3)
    for position, (feature, index) in enumerate(zip(mean, INDICES.tolist(), strict=True)):
        image = transform(images()[index : index + 1])
        torch.testing.assert_close(feature, ((backbone(image) + backbone(image + position)) / 2)[0].detach())


def test_a_feature_that_is_not_finite_in_a_later_batch_is_an_error_too() -> None:
    def corrupt(batch: Tensor, positions: Tensor) -> Tensor:
        return transform(batch).masked_fill((positions == 5)[:, None, None, None], float("inf"))

    with pytest.raises(InputError, match="not finite"):
        extract_views(nn.Flatten(), images(), INDICES, (corrupt,), batch_size=2)


def test_an_ensemble_concatenates_the_unit_features_of_its_networks() -> None:
    one = features()
    other = replace(one, features=torch.randn(4, 2, generator=generator_for(1, "features")), fingerprint="f1")
    joined = concatenate([one, other])
    for index in range(4):
        parts = [values[index] / values[index].norm() for values in (one.features, other.features)]
        torch.testing.assert_close(joined.features[index], torch.cat(parts))
    assert joined.support_features is None
    assert torch.equal(joined.labels, one.labels)
    assert len({joined.fingerprint, concatenate([other, one]).fingerprint, "f0", "f1"}) == 4


def test_an_ensemble_of_augmented_shots_concatenates_support_features() -> None:
    one = replace(features(), support_features=torch.ones(4, 3))
    joined = concatenate([one, replace(one, support_features=None)])
    assert joined.support_features is not None
    torch.testing.assert_close(joined.support_features[:, :3], torch.full((4, 3), 3**-0.5))
    torch.testing.assert_close(joined.support_features[:, 3:], joined.features[:, 3:])

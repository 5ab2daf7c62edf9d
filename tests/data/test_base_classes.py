"""Which images are trained on, which are kept to measure on, and which labels are spoilt."""

import numpy as np
import pytest
import torch

from s2m2.data.base_classes import split_base
from s2m2.data.dataset import ImageDataset
from s2m2.errors import InputError
from s2m2.recipe import DataConfig

IMAGES, CLASSES = 40, 5


def dataset(sizes: tuple[int, ...] = (IMAGES,) * (CLASSES + 1)) -> ImageDataset:
    """Classes in no order of their numbers; the last is a novel one."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return ImageDataset(
        name="small",
        images=np.zeros((len(labels), 4, 4, 3), dtype=np.uint8),
        labels=np.random.default_rng(0).permutation(labels),
        class_names=tuple("abcdefgh"[: len(sizes)]),
        splits={"base": tuple(reversed(range(len(sizes) - 1))), "novel": (len(sizes) - 1,)},
        digest="0",
    )


def test_all_base_images_are_trained_on_with_their_classes_by_default() -> None:
    whole, split = dataset(), split_base(dataset(), DataConfig(), seed=0)
    assert split.rows.tolist() == whole.rows("base").tolist()
    assert split.labels.tolist() == whole.labels[whole.rows("base")].tolist()
    assert torch.equal(split.labels, split.true_labels)
    assert not len(split.held_rows)


def test_the_share_held_out_is_of_every_class_and_never_trained_on() -> None:
    split = split_base(dataset(), DataConfig(holdout_fraction=0.2), seed=0)
    assert torch.bincount(split.held_labels).tolist() == [8] * CLASSES
    assert torch.bincount(split.labels).tolist() == [32] * CLASSES
    assert torch.cat([split.rows, split.held_rows]).sort().values.tolist() == dataset().rows("base").tolist()
    assert dataset().labels[split.held_rows].tolist() == split.held_labels.tolist()


def test_the_share_of_wrong_labels_is_exact_and_spread_over_the_other_classes() -> None:
    split = split_base(dataset(), DataConfig(holdout_fraction=0.2, label_noise=0.5), seed=0)
    wrong = split.labels != split.true_labels
    assert int(wrong.sum()) == 80
    shifts = (split.labels - split.true_labels)[wrong] % CLASSES
    assert torch.bincount(shifts, minlength=CLASSES)[0] == 0
    assert torch.bincount(shifts, minlength=CLASSES)[1:].min() > 8
    clean = split_base(dataset(), DataConfig(holdout_fraction=0.2), seed=0)
    assert torch.equal(clean.true_labels, split.true_labels)
    assert torch.equal(clean.held_rows, split.held_rows)


def test_the_seed_decides_who_is_held_out_and_spoilt() -> None:
    config = DataConfig(holdout_fraction=0.2, label_noise=0.5)
    one, same, other = (split_base(dataset(), config, seed) for seed in (0, 0, 1))
    assert torch.equal(one.held_rows, same.held_rows)
    assert torch.equal(one.labels, same.labels)
    assert not torch.equal(one.held_rows, other.held_rows)
    assert not torch.equal(one.labels != one.true_labels, other.labels != other.true_labels)


def test_a_class_with_nothing_left_to_train_on_is_named() -> None:
    with pytest.raises(InputError, match=r"--data\.holdout_fraction is 0\.9, which leaves class c no image to train on"):
        split_base(dataset((10, 10, 2, 10)), DataConfig(holdout_fraction=0.9), seed=0)


@pytest.mark.parametrize(("setting", "value"), [("holdout_fraction", 1.0), ("holdout_fraction", -0.1), ("label_noise", 1.5)])
def test_shares_out_of_range_are_refused(setting: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"--data\.{setting} is"):
        DataConfig(**{setting: value})  # type: ignore[arg-type]

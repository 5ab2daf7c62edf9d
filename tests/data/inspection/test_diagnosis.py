"""From images to findings: each fault is put in on purpose, and must be found under its name and nowhere else."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from s2m2.data.dataset import ImageDataset, dataset_digest
from s2m2.data.inspection import Diagnosis, Subject, dataset_subject, diagnose, folder_subject, observe, subject_of
from s2m2.errors import InputError
from tests.data.files import noise_image

SPLITS = {"base": ["apple"], "validation": ["bear"], "novel": ["cup"]}


def noise_dataset(
    counts: tuple[int, ...] = (6, 4, 5), parts: tuple[tuple[int, ...], ...] = ((0,), (1,), (2,)), **settings: object
) -> ImageDataset:
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (sum(counts), 8, 8, 3), dtype=np.uint8)
    labels = rng.permutation(np.repeat(np.arange(len(counts), dtype=np.int64), counts))
    names = tuple(f"c{number}" for number in range(len(counts)))
    numbers = dict(zip(("base", "validation", "novel"), parts, strict=True))
    digest = dataset_digest(images, labels, names, numbers, settings)
    return ImageDataset(name="noise", images=images, labels=labels, class_names=names, splits=numbers, digest=digest, settings=settings)


def folder(root: Path, count: int = 5) -> Path:
    for label, name in enumerate(("apple", "bear", "cup")):
        (root / name).mkdir(parents=True)
        for index in range(count):
            noise_image(9, 8, seed=100 * label + index).save(root / name / f"{index}.png")
    (root.parent / "lists.json").write_text(json.dumps(SPLITS))
    return root


def folder_with_splits(root: Path) -> Subject:
    return folder_subject(root, splits=str(root.parent / "lists.json"))


def diagnosis_of(subject: Subject, ways: int = 1, shots: int = 1, queries: int = 1) -> Diagnosis:
    return diagnose(subject, observe(subject, workers=2), ways=ways, shots=shots, queries=queries)


def dataset_diagnosis(dataset: ImageDataset, **task: int) -> Diagnosis:
    return diagnosis_of(dataset_subject(dataset, path="dataset"), **task)


def test_a_sound_dataset_has_notes_only() -> None:
    diagnosis = dataset_diagnosis(noise_dataset())
    assert diagnosis.exit_code == 0
    assert not diagnosis.of("finding")
    assert not diagnosis.of("unusable")
    assert [(part.name, part.classes, part.images) for part in diagnosis.parts] == [
        ("base", 1, 6),
        ("validation", 1, 4),
        ("novel", 1, 5),
        ("all", 3, 15),
    ]
    assert diagnosis.class_counts.tolist() == [6, 4, 5]


def test_mean_and_deviation_of_a_split_are_those_of_numpy() -> None:
    dataset = noise_dataset((90, 70, 40))
    parts = {part.name: part for part in dataset_diagnosis(dataset).parts}
    for name, indices in {"base": dataset.labels == 0, "novel": dataset.labels == 2, "all": np.ones(200, dtype=bool)}.items():
        scaled = dataset.images[indices].astype(np.float64) / 255
        np.testing.assert_allclose(parts[name].mean, scaled.mean(axis=(0, 1, 2)), rtol=1e-10)
        np.testing.assert_allclose(parts[name].deviation, scaled.std(axis=(0, 1, 2)), rtol=1e-10)


def test_equal_images_are_told_apart_by_where_they_lie() -> None:
    dataset = noise_dataset((6, 4, 5, 4), parts=((0, 3), (1,), (2,)))
    a, b, c, d = (np.flatnonzero(dataset.labels == number) for number in range(4))
    for one, other in (
        (a[0], a[1]),
        (a[2], d[1]),
        (b[0], c[4]),
        (b[0], c[3]),
    ):
        dataset.images[other] = dataset.images[one]
    found = {finding.title: finding for finding in dataset_diagnosis(dataset).of("finding")}
    assert len(found) == 3
    for title, groups in {
        "1 set of exactly equal images in different splits, 3 images in all": [b[0], c[3], c[4]],
        "1 set of exactly equal images in different classes of one split, 2 images in all": [a[2], d[1]],
        "1 set of exactly equal images inside one class, 2 images in all": [a[0], a[1]],
    }.items():
        assert found[title].groups == (tuple(sorted(map(int, groups))),)
        assert all(f"#{index} (" in found[title].items[0] for index in groups)


def test_one_flipped_bit_makes_a_dataset_unusable() -> None:
    dataset = noise_dataset((40, 50, 60))
    dataset.images[133, 4, 4, 1] ^= 8
    diagnosis = dataset_diagnosis(dataset)
    assert diagnosis.exit_code == 2
    assert "altered after it was written" in diagnosis.of("unusable")[0].title


def test_classes_and_splits_too_small_for_a_task_are_named() -> None:
    diagnosis = dataset_diagnosis(noise_dataset((6, 4, 5, 7), parts=((0, 3), (1, 2), ())), ways=2, shots=2, queries=4)
    assert {finding.title: finding.items for finding in diagnosis.of("finding")} == {
        "2 classes of validation have fewer than the 6 images that 2 shots and 4 queries need": ("c1: 4 images", "c2: 5 images")
    }
    assert "there are no novel classes" in [finding.title for finding in diagnosis.of("note")]
    diagnosis = dataset_diagnosis(noise_dataset(), ways=2)
    assert [finding.title for finding in diagnosis.of("finding")] == [
        f"{split} has 1 class, but a 2-way task needs 2" for split in ("base", "validation", "novel")
    ]


def test_classes_without_images_and_names_used_twice_are_findings_and_classes_in_no_split_a_note() -> None:
    dataset = noise_dataset((6, 0, 5), parts=((0,), (), (2,)))
    dataset = replace(dataset, class_names=("a", "b", "a"))
    diagnosis = dataset_diagnosis(
        replace(dataset, digest=dataset_digest(dataset.images, dataset.labels, dataset.class_names, dataset.splits, {}))
    )
    assert [(finding.title, finding.items) for finding in diagnosis.of("finding")] == [
        ("1 name stands for more than one class", ("a",)),
        ("1 class has no image", ("b",)),
    ]
    assert ("1 class is in no split", ("b",)) in [(finding.title, finding.items) for finding in diagnosis.of("note")]


def test_counts_are_compared_with_those_of_the_dataset_that_a_dataset_was_made_of() -> None:
    dataset = noise_dataset(dataset="cifar_fs", splits="of the source")
    (finding,) = [finding for finding in dataset_diagnosis(dataset).of("finding") if "CIFAR-FS" in finding.title]
    assert "base: 6 images, but 38,400 expected, 38,394 missing" in finding.items
    assert "novel: 1 class, but 20 expected, 19 missing" in finding.items
    assert len(finding.items) == 8
    other = noise_dataset(dataset="cifar_fs", splits="mine.json")
    (finding,) = [finding for finding in dataset_diagnosis(other).of("finding") if "CIFAR-FS" in finding.title]
    assert [item.split(":")[0] for item in finding.items] == ["all", "all"]


def test_rotated_classes_are_expected_four_times() -> None:
    subject = dataset_subject(noise_dataset(dataset="omniglot", splits="of the source", rotated=True), path="dataset")
    assert subject.expected is not None
    assert subject.expected.classes == {"base": 4112, "validation": 688, "novel": 1692, "all": 6492}


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_change_nothing(workers: int) -> None:
    subject = dataset_subject(noise_dataset((300, 200, 100)), path="dataset")
    one, other = observe(subject, 2), observe(subject, workers)
    np.testing.assert_array_equal(one.hashes, other.hashes)
    np.testing.assert_array_equal(one.moments, other.moments)
    assert one.digest == other.digest == (subject.dataset.digest if subject.dataset else None)


def test_damaged_files_are_named_by_their_path_inside_the_source(tmp_path: Path) -> None:
    root = folder(tmp_path / "source")
    content = (root / "bear" / "1.png").read_bytes()
    (root / "bear" / "1.png").write_bytes(content[: len(content) // 2])
    (root / "cup" / "0.png").write_bytes(b"")
    (root / "cup" / "4.png").write_bytes(b"no image at all")
    (root / "apple" / "notes.txt").write_text("not an image either")
    diagnosis = diagnosis_of(folder_with_splits(root), shots=2, queries=2)
    findings = diagnosis.of("finding")
    assert [finding.title for finding in findings[:2]] == ["2 files are cut short (truncated)", "1 file is unreadable"]
    assert [item.split(":")[0] for item in findings[0].items] == ["bear/1.png", "cup/0.png"]
    assert findings[1].items == ("cup/4.png: the content is that of no image",)
    # What cannot be read is of no use to a task.
    assert findings[2].items == ("cup: 3 images",)
    assert diagnosis.exit_code == 1
    notes = [finding.title for finding in diagnosis.of("note")]
    assert "1 file is left out, as the names are not those of images: 1 .txt" in notes
    assert "all images have 9x8 pixels" in notes


def test_a_source_of_which_nothing_can_be_read_is_unusable(tmp_path: Path) -> None:
    root = folder(tmp_path / "source", count=1)
    for path in root.glob("*/*.png"):
        path.write_bytes(b"?")
    diagnosis = diagnosis_of(folder_with_splits(root))
    assert [finding.title for finding in diagnosis.of("unusable")] == ["no image can be read"]
    assert np.isnan(diagnosis.parts[-1].mean).all()


def test_class_lists_that_do_not_fit_are_said_and_the_images_are_looked_at_all_the_same(tmp_path: Path) -> None:
    root = folder(tmp_path / "source")
    (tmp_path / "lists.json").write_text(json.dumps({**SPLITS, "novel": ["cup", "dog"]}))
    diagnosis = diagnosis_of(folder_with_splits(root), shots=9)
    assert diagnosis.exit_code == 2
    assert "dog" in diagnosis.of("unusable")[0].title
    assert [finding.title for finding in diagnosis.of("finding")] == [
        "3 classes have fewer than the 10 images that 9 shots and 1 query need"
    ]


def test_one_color_gray_and_unequal_sizes_are_notes(tmp_path: Path) -> None:
    root = folder(tmp_path / "source")
    noise_image(30, 20).convert("L").save(root / "apple" / "gray.png")
    noise_image(3, 2).resize((5, 5), box=(0, 0, 0.1, 0.1), resample=0).save(root / "apple" / "plain.png")
    diagnosis = diagnosis_of(folder_with_splits(root))
    notes = {finding.title: finding.items for finding in diagnosis.of("note")}
    assert notes["1 image has one color throughout"] == ("apple/plain.png",)
    assert any(title.startswith("1 image is gray") for title in notes)
    assert any("3 different sizes, widths from 5 to 30, heights from 5 to 20" in title for title in notes)
    assert any(title.startswith("classes are of unequal size, from 5 images (bear) to 7 (apple)") for title in notes)
    assert diagnosis.exit_code == 0


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"splits": "cub"}, "--splits"),
        ({"box": True}, "--box"),
        ({"rotated": True}, "--rotated"),
        ({"dataset": "imagenet21k"}, "--dataset"),
    ],
)
def test_settings_that_a_dataset_has_no_use_for_are_refused(glyph_folder: Path, settings: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        subject_of(str(glyph_folder), **settings)  # type: ignore[arg-type]

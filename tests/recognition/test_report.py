"""The report of a fitted model: planted confusions, wrong labels and near-duplicates are found; text and pages are sound."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from s2m2.errors import InputError
from s2m2.recognition import report_page
from s2m2.recognition.prediction_page import Neighbor, PredictionRow, nearest_labeled, write_predictions_page
from s2m2.recognition.report import FitReport, percent
from tests.recognition.made_up_features import blobs, fitted


def report_of(features: np.ndarray, labels: list[str], thumbnails: bool = False) -> FitReport:
    return fitted(features, labels, thumbnails).report()


def planted() -> tuple[np.ndarray, list[str]]:
    """Eight classes; a and b have nearly one center, image 27 of class e carries the label d, image 40 is almost image 41."""
    generator = np.random.default_rng(5)
    centers = generator.normal(size=(8, 24)) / 24**0.5
    centers[1] = centers[0] + 0.02
    features, labels, _ = blobs(8, 6, width=0.4, seed=1, centers=centers)
    features[40] = 1.01 * features[41] + 0.0001
    labels[27] = "d"
    return features, labels


def test_the_planted_flaws_are_found() -> None:
    report = report_of(*planted())
    assert {report.classes[way] for way in report.pairs[0].classes} == {"a", "b"}
    first = report.pairs[0]
    assert all(item is None or report.label(item) == report.classes[way] for item, way in zip(first.examples, first.classes, strict=True))
    assert [(one.item, report.classes[one.given], report.classes[one.other]) for one in report.mislabeled] == [(27, "d", "e")]
    assert report.label(report.mislabeled[0].nearest) == "e"
    assert [one.items for one in report.duplicates] == [(40, 41)]
    assert {report.classes[one.way] for one in report.records[:2]} == {"a", "b"}
    text = report.text()
    assert "X[27] is labeled d, but looks like e" in text
    assert "X[40] and X[41] (both g)" in text
    assert max(map(len, text.splitlines())) <= 80


def test_clean_classes_raise_no_doubts() -> None:
    report = report_of(*blobs(8, 6, width=0.5)[:2])
    assert (report.mislabeled, report.duplicates, report.pairs, report.steps()) == ((), (), (), ())
    assert "About 100 % of new images" in report.headline()


def test_of_two_images_of_a_class_no_label_is_doubted() -> None:
    features, labels, _ = blobs(12, 2, width=0.3)
    labels[0] = "b"
    labels[2] = "a"
    assert report_of(features, labels).mislabeled == ()


def test_one_image_of_each_class_makes_an_estimate_impossible(tmp_path: Path) -> None:
    report = report_of(*blobs(5, 1)[:2])
    assert "cannot be said" in report.text()
    assert "Add a second image of each class" in report.text()
    assert "nan" not in report.to_html(tmp_path / "page.html").read_text().lower().replace("nanosecond", "")
    assert report.to_dict()["estimate"] is None


def test_classes_with_a_single_image_are_named() -> None:
    features, labels, _ = blobs(6, 5)
    report = report_of(features[:26], labels[:26])
    assert "Add a second image of f: a class with a single image cannot be checked." in report.steps()


def test_plain_values_are_json_and_name_everything() -> None:
    values = json.loads(json.dumps(report_of(*planted()).to_dict()))
    assert values["mislabeled"][0]["image"] == "X[27]"
    assert values["estimate"]["interval_over"] == "classes"
    assert len(values["classes"]) == 8


def test_the_page_holds_everything_and_escapes_names(tmp_path: Path) -> None:
    features, labels = planted()
    names = ["<script>alert(1)</script>" if label == "d" else label for label in labels]
    page = report_of(features, names, thumbnails=True).to_html(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert not re.search(r"(src|href)=\"(?!data:image/|#)", page)
    assert not re.search(r"url\((?!#)|@import|https?://", page)
    images = re.findall(r"<img[^>]*>", page)
    assert len(images) >= 48
    assert all(re.search(r'alt="[^"]+"', image) for image in images)
    assert "Are the probabilities right?" in page


def test_a_page_of_many_classes_is_capped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_page, "MAX_CLASSES", 5)
    monkeypatch.setattr(report_page, "MAX_THUMBNAILS", 10_000)
    page = report_of(*planted(), thumbnails=True).to_html(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "And 3 more classes, not shown" in page
    assert "Not all images are shown" in page
    assert len(page) < 150_000


def test_a_page_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"page\.html cannot be written"):
        report_of(*blobs(3, 3)[:2]).to_html(tmp_path / "file" / "page.html")


@pytest.mark.parametrize(("fraction", "words"), [(0.0, "0 %"), (0.001, "under 1 %"), (0.5, "50 %"), (0.999, "over 99 %"), (1.0, "100 %")])
def test_percent_is_never_0_or_100_for_what_is_not_quite(fraction: float, words: str) -> None:
    assert percent(fraction) == words


def test_the_page_of_predictions_has_doubtful_photos_first(tmp_path: Path) -> None:
    near = (Neighbor(label="<i>a</i>", name="near.jpg", thumbnail=b""),)
    rows = [
        PredictionRow(photo="sure.jpg", thumbnail=b"", label="a", probabilities=(("a", 0.9), ("b", 0.1)), neighbors=near),
        PredictionRow(photo="doubtful.jpg", thumbnail=b"", label="b", probabilities=(("b", 0.51), ("a", 0.49))),
        PredictionRow(photo="unknown.jpg", thumbnail=b"", label=None, probabilities=(("b", 0.4), ("a", 0.3))),
        PredictionRow(photo="broken.jpg", thumbnail=b"", label=None, probabilities=(), reason="broken.jpg is no image"),
    ]
    page = write_predictions_page(tmp_path / "page.html", rows).read_text(encoding="utf-8")
    places = [page.index(name) for name in ("unknown.jpg", "doubtful.jpg", "sure.jpg", "broken.jpg is no image")]
    assert places == sorted(places)
    assert "<i>a" not in page
    assert "1 photo of none of the classes · 1 unreadable" in page


def test_neighbors_are_the_most_similar_labeled_images() -> None:
    features, labels, _ = blobs(4, 5, width=0.1)
    model = fitted(features, labels)
    (near,) = nearest_labeled(model, model.support_.features[7:8], 2)
    assert near[0].name == "X[7]"
    assert [one.label for one in near] == ["b", "b"]


def luminance(color: str) -> float:
    levels = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4 for level in levels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("dark", [False, True])
def test_text_has_the_contrast_of_wcag_aa_in_both_modes(dark: bool) -> None:
    folder = Path(report_page.__file__).parent
    style = (folder.parent / "reports/templates/page.css").read_text() + (folder / "templates/recognition.css").read_text()
    colors: dict[str, str] = {}
    for mode, block in re.findall(r"(@media \(prefers-color-scheme: dark\) \{\s*)?:root \{([^}]*)\}", style):
        if dark or not mode:
            colors.update(re.findall(r"--(\w+): (#\w{6})", block))
    for text in ("ink", "muted"):
        for ground in ("paper", "panel", "track"):
            light, shade = sorted((luminance(colors[text]), luminance(colors[ground])), reverse=True)
            assert (light + 0.05) / (shade + 0.05) >= 4.5, (text, ground)


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (("/birds/a/1.jpg", "/birds/b/2.jpg"), ("a/1.jpg", "b/2.jpg")),
        (("/birds/a/1.jpg", "/other/b/2.jpg"), ("/birds/a/1.jpg", "/other/b/2.jpg")),
        (("X[0]", "X[1]"), ("X[0]", "X[1]")),
    ],
)
def test_names_are_those_below_the_folder_of_all_images(names: tuple[str, str], shown: tuple[str, str]) -> None:
    report = report_of(*blobs(2, 1)[:2])
    assert replace(report, support=replace(report.support, names=names)).names == shown


def test_low_accuracy_comes_with_a_way_out() -> None:
    hard, easy = report_of(*blobs(8, 3, width=3.0)[:2]), report_of(*blobs(8, 3, width=0.1)[:2])
    assert hard.estimate is not None
    assert hard.estimate.accuracy < 0.7
    assert "Add images, 10 of each class (now 3 at least), or try a larger network, `--backbone timm:MODEL`." in hard.steps()
    assert not any("--backbone" in step for step in easy.steps())

"""`s2m2 fit` and `s2m2 predict` from words to exit codes: what they print, and every kind of bad input as one clear line."""

import csv
import errno
import io
import json
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s2m2.cli import main
from s2m2.commands.recognition import SETTINGS
from s2m2.recipe import FitConfig
from s2m2.recipe.command_settings import EMBEDDED_BACKBONE
from s2m2.recognition import ImageClassifier
from s2m2.recognition.extractors import EMBEDDED
from s2m2.recognition.locking import LOCK, model_lock
from tests.data.files import complaint, noise_image
from tests.recognition.tiny import labeled_folder, photo_folder, use_tiny_backbone


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_tiny_backbone(monkeypatch)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def model(tmp_path: Path) -> str:
    """The name of a fitted model in the current folder."""
    ImageClassifier().fit(labeled_folder(tmp_path / "birds")).save("model")
    return "model"


def rows(file: str = "p.csv") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(Path(file).read_bytes().decode(), newline="")))


def test_what_is_not_given_is_that_of_a_new_model() -> None:
    assert EMBEDDED_BACKBONE == EMBEDDED
    config = FitConfig(images=Path("a"), output=Path("b"))
    assert {getattr(config, flag) for flag in SETTINGS} == {None}
    assert config.batch_size == ImageClassifier().batch_size


def test_fit_tells_classes_calibration_and_the_next_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labeled_folder(tmp_path / "my birds")
    (tmp_path / "my birds" / "owl" / "bad.png").write_text("no image")
    assert main(["fit", "my birds", "--output", "my model"]) == 0
    text = capsys.readouterr().out
    assert "1 image left out: cannot read image my birds/owl/bad.png: no image" in text
    assert "3 classes, 9 images\n      3  owl\n      3  robin\n      3  wren\n" in text
    assert ImageClassifier.load("my model").calibration_.sentence(0.05) in " ".join(text.split())
    assert text.endswith("\nnext: s2m2 predict 'my model' PHOTOS --output predictions.csv\n")


def test_predict_writes_a_row_an_image_and_tells_what_could_not_be_read(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    photo_folder(tmp_path / "photos")
    assert main(["predict", model, "photos", "--output", "p.csv"]) == 0
    assert [row["file"] for row in rows()] == [f"photos/{number}.png" for number in range(6)]
    (tmp_path / "photos" / "3.png").write_text("no image")
    capsys.readouterr()
    assert main(["predict", model, "photos", "--output", "p.csv", "--overwrite", "true"]) == 1
    text = capsys.readouterr().out
    assert "1 image could not be read: cannot read image photos/3.png: no image" in text
    assert "; predictions in p.csv\n" in text
    assert [bool(row["error"]) for row in rows()] == [False, False, False, True, False, False]


def test_without_an_output_a_table_is_printed(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    photo_folder(tmp_path / "photos")
    (tmp_path / "photos" / "\x1b[31mred.png").write_text("no image")
    assert main(["predict", model, "photos", "birds/owl/0.png", "--unknown", "0"]) == 1
    text = capsys.readouterr().out
    assert "\x1b[31mred" not in text
    assert "\\x1b[31mred.png" in text
    assert "none of these" not in text
    assert max(map(len, text.splitlines()[:8])) <= 80


def test_code_of_others_runs_where_a_flag_allows_it_and_nowhere_else(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "code").mkdir()
    marker = tmp_path / "it ran"
    (tmp_path / "code" / "others_part.py").write_text(
        f"from pathlib import Path\nfrom s2m2.classifiers import Ridge\nPath({str(marker)!r}).touch()\nclass Mine(Ridge): pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    labeled_folder(tmp_path / "birds")
    photo_folder(tmp_path / "photos")
    assert main(["fit", "birds", "--output", "model", "--classifier", "others_part:Mine"]) == 0
    marker.unlink()
    del sys.modules["others_part"]
    capfd.readouterr()
    for words in (["predict", "model", "photos"], ["suggest", "model", "photos"], ["fit", "photos", "--output", "model", "--add", "true"]):
        line = complaint(words, capfd)
        assert "names the classifier 'others_part:Mine', which is no part of s2m2; if you trust who made the model, --trust_code " in line
    assert not marker.exists()
    assert main(["predict", "model", "photos", "--trust_code", "true"]) == 0
    assert main(["suggest", "model", "photos", "--trust_code", "true"]) == 0
    assert main(["fit", "birds", "--output", "model", "--add", "true", "--trust_code", "true"]) == 0
    assert marker.exists()
    assert "--trust_code is true, but must be with --add only" in complaint(
        ["fit", "birds", "--output", "new", "--trust_code", "true"], capfd
    )


def test_names_come_from_files_folders_patterns_and_standard_input(tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    photo_folder(tmp_path / "photos" / "deep")
    photo_folder(tmp_path / "-odd, [names]: ä")
    monkeypatch.setattr(sys, "stdin", io.StringIO("photos/deep/2.png\n\nphotos/deep/3.png\r\n"))
    words = ["photos", "photos/*/1.png", "-", "--output", "p.csv", "--", "-odd, [names]: ä", "birds/owl/0.png"]
    assert main(["predict", model, *words]) == 0
    files = [row["file"] for row in rows()]
    assert files[:6] == [f"photos/deep/{number}.png" for number in range(6)]
    assert files[6:9] == ["photos/deep/1.png", "photos/deep/2.png", "photos/deep/3.png"] or len(files) == 16
    assert files[-1] == "birds/owl/0.png"


def test_shards_share_the_images(tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    photo_folder(tmp_path / "photos", 7)
    assert main(["predict", model, "photos", "--output", "p.csv", "--shard", "1/2"]) == 0
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["predict", model, "photos", "--output", "p.csv"]) == 0
    first, second = ([row["file"][7] for row in rows(f"p-0000{number}-of-00002.csv")] for number in (1, 2))
    assert (first, second) == (["0", "2", "4", "6"], ["1", "3", "5"])
    (tmp_path / "bad.jpg").write_text("no image")
    assert main(["predict", model, "photos/0.png", "bad.jpg", "--output", "bad.csv"]) == 0  # its failure would end the others
    assert main(["predict", model, "photos/0.png", "--output", "few.csv"]) == 0
    assert rows("bad-00002-of-00002.csv")[0]["error"]
    assert rows("few-00002-of-00002.csv") == []


def test_add_extends_a_model_and_keeps_its_settings(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    labeled_folder(tmp_path / "more", ("eagle", "owl"), images=4, seed=5000)
    assert main(["fit", "more", "--output", model, "--add", "true", "--unknown", "0.05"]) == 0
    assert "4 classes, 1 of them new, " in capsys.readouterr().out
    assert ImageClassifier.load(model).classes_.tolist() == ["eagle", "owl", "robin", "wren"]


def test_a_model_of_features_takes_feature_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    features = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
    np.savez(tmp_path / "f.npz", features=features, labels=np.repeat(["a", "b"], 30))
    assert main(["fit", "f.npz", "--backbone", "features", "--output", "model"]) == 0
    assert main(["predict", "model", "f.npz", "--output", "p.jsonl"]) == 0
    lines = [json.loads(line) for line in Path("p.jsonl").read_text().splitlines()]
    assert lines[7]["file"] == "f.npz[7]"
    assert lines[7]["nearest"] == "X[7]"


def test_a_class_like_a_formula_is_no_formula_in_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labeled_folder(tmp_path / "birds", ("=HYPERLINK(1)", "+owl", "-wren"))
    assert main(["fit", "birds", "--output", "model"]) == 0
    assert main(["predict", "model", "birds", "--output", "p.csv", "--unknown", "0"]) == 0
    assert {row["label"] for row in rows()} <= {"'=HYPERLINK(1)", "'+owl", "'-wren"}
    assert "p:=HYPERLINK(1)" in rows()[0]


def test_a_label_like_a_formula_survives_a_list_of_suggestions(tmp_path: Path) -> None:
    labeled_folder(tmp_path / "birds", ("-tail", "=1", "+x"))
    photo_folder(tmp_path / "photos")
    assert main(["fit", "birds", "--output", "model"]) == 0
    assert main(["suggest", "model", "photos", "--output", "s.csv"]) == 0
    assert {row["label"] for row in rows("s.csv")} <= {"'-tail", "'=1", "'+x", ""}
    Path("s.csv").write_text(Path("s.csv").read_text().replace(".png,,", ".png,'+x,"))  # those that the model is in doubt of
    assert main(["fit", "s.csv", "--output", "model", "--add", "true"]) == 0
    assert set(ImageClassifier.load("model").classes_.tolist()) == {"-tail", "=1", "+x"}


@pytest.mark.parametrize("flag", ["--add", "--overwrite"])
def test_a_model_that_another_process_changes_is_left_alone(
    tmp_path: Path, model: str, flag: str, capfd: pytest.CaptureFixture[str]
) -> None:
    labeled_folder(tmp_path / "more", seed=5000)
    before = (tmp_path / model / "model.json").read_bytes()
    with model_lock(Path(model)):
        assert "model is in use by another process" in complaint(["fit", "more", "--output", model, flag, "true"], capfd)
    assert (tmp_path / model / "model.json").read_bytes() == before
    assert main(["fit", "more", "--output", model, flag, "true"]) == 0


def test_a_model_may_be_put_into_an_empty_folder(tmp_path: Path) -> None:
    labeled_folder(tmp_path / "birds")
    (tmp_path / "new").mkdir()
    assert main(["fit", "birds", "--output", "new", "--overwrite", "true"]) == 0
    assert not (tmp_path / "new" / LOCK).exists()


def test_names_that_no_file_can_have_are_told(tmp_path: Path, model: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert "cannot be read: File name too long" in complaint(["predict", model, "x" * 300], capfd)
    assert "there is no file or folder ~nobody/x" in complaint(["predict", model, "~nobody/x"], capfd)


# Bad input


def nothing(folder: Path) -> None:
    (folder / "birds").mkdir()


def loose_images(folder: Path) -> None:
    photo_folder(folder / "birds")


def with_splits(folder: Path) -> None:
    for split in ("train", "val"):
        labeled_folder(folder / "birds" / split)


def one_class(folder: Path) -> None:
    labeled_folder(folder / "birds", ("owl",))


def one_image(folder: Path) -> None:
    labeled_folder(folder / "birds", ("owl",), images=1)


def unreadable_class(folder: Path) -> None:
    labeled_folder(folder / "birds", images=1)
    (folder / "birds" / "owl" / "0.png").write_text("no image")


def equal_photos(folder: Path) -> None:
    labeled_folder(folder / "birds")
    noise_image(5, 5).save(folder / "birds" / "owl" / "x.png")
    noise_image(5, 5).save(folder / "birds" / "wren" / "y.png")


FOLDERS: dict[str, tuple[Callable[[Path], None], str]] = {
    "nothing": (nothing, "birds has no class folders; the images of each class go into a folder with its name"),
    "no class folders": (loose_images, "birds has no class folders"),
    "splits": (with_splits, "birds holds the folders train and val, not classes; fit birds/train"),
    "one class": (one_class, "there is one class only, owl; two classes are needed at least"),
    "one image": (one_image, "there is one class only, owl"),
    "unreadable class": (unreadable_class, "class owl has no image that can be read: cannot read image birds/owl/0.png"),
    "equal photos": (equal_photos, "owl/x.png (owl) and wren/y.png (wren) are the same image with different labels"),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_images_that_cannot_be_learned_are_told_and_nothing_is_left(tmp_path: Path, capfd: pytest.CaptureFixture[str], case: str) -> None:
    make, says = FOLDERS[case]
    make(tmp_path)
    assert says in complaint(["fit", "birds", "--output", "model"], capfd)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "needs --images, --output"),
        (["none"], "needs --output"),
        (["none", "--output", "new"], "no such folder none"),
        (["none.csv", "--output", "new"], "no such file or folder none.csv"),
        (["birds", "--output", "model"], "--output model holds a model already; --add true adds the images to it, --overwrite true"),
        (["birds", "--output", "birds"], "--output birds exists and is no model; name another folder"),
        (["birds", "--output", "birds/owl/0.png/new"], "cannot be written: "),
        (["birds", "--output", "new", "--add", "true"], "--add: there is no model in --output new"),
        (["birds", "--output", "model", "--add", "true", "--overwrite", "true"], "--add is true, but must be without --overwrite"),
        (["birds", "--output", "model", "--add", "true", "--backbone", "timm:vit"], "--backbone timm:vit is for a new model; the one in"),
        (["birds", "--output", "model", "--add", "true", "--seed", "3"], "--seed 3 is for a new model; the one in model keeps its own, 0"),
        (["birds", "--output", "model", "--add", "true", "--unknown", "0.1"], "--unknown 0.1 is for a new model; the one in model keeps"),
        (["birds", "--output", "model", "--add", "true", "--classifier", "ridge"], "the one in model keeps its own, auto"),
        (["birds", "--output", "model", "--add", "true", "--reference", "birds"], "--reference birds is for a new model"),
        (["birds", "--output", "new", "--unknown", "1"], "--unknown is 1.0, but must be at least 0 and below 1"),
        (["birds", "--output", "new", "--classifier", "tim"], "classifier tim looks at all images together"),
        (["birds", "--output", "new", "--classifier", "cosin"], "classifier cosin is unknown; did you mean cosine"),
        (["birds", "--output", "new", "--classifier", "{name: cosine, stepz: 3}"], "cosine has no setting stepz"),
        (["birds", "--output", "new", "--page", "p.pdf"], "--page is p.pdf, but must be a file that ends in .html, or null"),
        (["birds", "--output", "new", "--backbone", "features"], "a model of features is fitted to a feature file"),
        (["f.npz", "--output", "new"], "no such file or folder f.npz"),
        (["f.npz", "--output", "new", "--backbone", "features"], "no such file or folder f.npz"),
        (["birds", "more", "--output", "new"], "takes IMAGES, but was given birds and more"),
        (["birds", "--outptu", "new"], "no flag --outptu; did you mean --output?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)  # fmt: skip
def test_wrong_calls_of_fit_name_their_flag(
    tmp_path: Path, model: str, capfd: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert says in complaint(["fit", *words], capfd)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["model"], "needs PHOTOS: files, folders, patterns such as 'photos/*.jpg', or - for names on standard input"),
        (["none", "birds"], "there is no model folder none"),
        (["birds", "birds"], "birds is no model, or only part of one: it has no model.json"),
        (["model", "none.jpg"], "there is no file or folder none.jpg"),
        (["model", "birds", "none/*.jpg"], "no file matches none/*.jpg"),
        (["model", "empty"], "there is no image in empty"),
        (["model", "birds", "--output", "p.txt"], "--output is p.txt, but must be a name that ends with .csv or .jsonl or .parquet"),
        (["model", "birds", "--output", "birds/owl/0.png/p.csv"], "--output birds/owl/0.png/p.csv cannot be written: "),
        (["model", "birds", "--output", "there.csv"], "--output there.csv is there already; --overwrite true replaces it"),
        (["model", "birds", "--coverage", "1"], "--coverage is 1.0, but must be above 0 and below 1"),
        (["model", "birds", "--shard", "0/2"], "--shard is 0/2, but must be I/N from 1/N to N/N, such as 3/16"),
        (["model", "birds", "--shard", "3/2"], "--shard is 3/2, but must be"),
        (["model", "birds", "--shard", "half"], "--shard is half, but must be"),
        (["model", "birds", "--outptu", "p.csv"], "no flag --outptu; did you mean --output?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)  # fmt: skip
def test_wrong_calls_of_predict_name_their_flag(
    tmp_path: Path, model: str, capfd: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "there.csv").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    assert says in complaint(["predict", *words], capfd)
    assert sorted(tmp_path.rglob("*")) == before


def without_features(folder: Path) -> None:
    next(folder.glob("images-*.safetensors")).unlink()


def half_of_the_features(folder: Path) -> None:
    file = next(folder.glob("images-*.safetensors"))
    file.write_bytes(file.read_bytes()[:100])


def half_of_the_json(folder: Path) -> None:
    text = (folder / "model.json").read_text()
    (folder / "model.json").write_text(text[: len(text) // 2])


def newer(folder: Path) -> None:
    about = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(about | {"format": 99, "s2m2": "9.0"}))


MODELS: dict[str, tuple[Callable[[Path], None], str]] = {
    "without features": (without_features, "model is only part of a model: it lacks images-"),
    "half of the features": (half_of_the_features, "is damaged: its content is not what model.json states"),
    "half of the JSON": (half_of_the_json, "model.json is damaged: it is no JSON"),
    "newer": (newer, "model was written by s2m2 9.0, this is"),
}


@pytest.mark.parametrize("case", MODELS)
def test_a_model_that_is_not_whole_is_told(tmp_path: Path, model: str, capfd: pytest.CaptureFixture[str], case: str) -> None:
    damage, says = MODELS[case]
    damage(tmp_path / model)
    assert says in complaint(["predict", model, "birds"], capfd)


def png_header(width: int, height: int) -> bytes:
    """The beginning of a PNG file, which tells its size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + b"\0\0\0\0IDAT"


def huge(file: Path) -> None:
    file.write_bytes(png_header(20_000, 10_000))


def empty_file(file: Path) -> None:
    file.write_bytes(b"")


def cut_short(file: Path) -> None:
    noise_image(40, 40).save(file, "PNG")
    file.write_bytes(file.read_bytes()[:2000])


def cmyk(file: Path) -> None:
    noise_image(20, 20).convert("CMYK").save(file, "JPEG")


def sixteen_bits(file: Path) -> None:
    Image.fromarray(np.full((20, 20), 40_000, dtype=np.uint16)).save(file, "PNG")


def animated(file: Path) -> None:
    frames = [noise_image(20, 20, seed) for seed in range(3)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])


def turned(file: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    noise_image(20, 30).save(file, "JPEG", exif=exif)


def floating(file: Path) -> None:
    Image.fromarray(np.zeros((9, 9), dtype=np.float32)).save(file, "TIFF")


PHOTOS: dict[str, tuple[str, Callable[[Path], None], str | None]] = {
    "200 megapixels": ("a.png", huge, "cannot read image photos/a.png: it has more than 178,956,970 pixels"),
    "empty": ("a.jpg", empty_file, "no image, or of a kind that Pillow does not know"),
    "cut short": ("a.png", cut_short, "cannot read image photos/a.png: "),
    "no image": ("a.webp", lambda file: file.write_text("text") and None, "no image"),
    "floating point": ("a.tiff", floating, "floating-point pixels have no agreed white"),
    "CMYK": ("a.jpg", cmyk, None),
    "16-bit gray": ("a.png", sixteen_bits, None),
    "animated GIF": ("a.gif", animated, None),
    "turned": ("a.jpeg", turned, None),
    "JFIF": ("a.jfif", cmyk, None),
    "Unicode and spaces": ("Zaunkönig im Schnee 🐦.jpg", cmyk, None),
    "AVIF": ("a.avif", lambda file: noise_image(20, 20).save(file), None),
    "HEIC": ("a.heic", lambda file: write_heic(file), None),
}


def write_heic(file: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.from_pillow(noise_image(64, 64)).save(file)


@pytest.mark.parametrize("case", PHOTOS)
def test_photos_of_any_kind_are_named_or_a_row_with_a_reason(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    name, write, says = PHOTOS[case]
    (tmp_path / "photos").mkdir()
    write(tmp_path / "photos" / name)
    assert main(["predict", model, "photos", "birds/owl/0.png", "--output", "p.csv"]) == (0 if says is None else 1)
    row, other = rows()
    assert row["file"] == f"photos/{name}"
    assert (says or "") in row["error"]
    assert bool(row["probability"]) == (says is None)
    assert other["probability"]


def test_heic_without_its_package_says_how(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from s2m2.data import decode

    decode._register_heif.cache_clear()
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.heic").write_bytes(b"")
    assert main(["predict", model, "a.heic", "--output", "p.csv"]) == 1
    assert rows()[0]["error"] == "cannot read image a.heic: needs the package pillow-heif: pip install 's2m2[heic]'"


def test_what_systems_leave_in_folders_is_no_image_and_no_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labeled_folder(tmp_path / "birds")
    for name in (".DS_Store", "owl/.DS_Store", "owl/._0.png", "owl/Thumbs.db", "__MACOSX/owl/._0.png", ".hidden/x/0.png"):
        (tmp_path / "birds" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "birds" / name).write_bytes(b"\0")
    assert main(["fit", "birds", "--output", "model"]) == 0
    text = capsys.readouterr().out
    assert "3 classes, 9 images\n" in text
    assert "1 file is left out, as the names are not those of images" in text
    assert main(["predict", "model", "birds", "--output", "p.csv"]) == 0
    assert len(rows()) == 9


def test_a_full_disk_leaves_no_half_model(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    labeled_folder(tmp_path / "birds")
    monkeypatch.setattr("s2m2.recognition.saving.write_tensors", full)
    assert "model cannot be written: No space left on device" in complaint(["fit", "birds", "--output", "model"], capfd)
    assert [path.name for path in tmp_path.iterdir()] == ["birds"]

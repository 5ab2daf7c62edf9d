"""Settings of the commands besides training and evaluation: fit, predict, serve, prepare, doctor, import, export, compare, table, ..."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from s2m2.errors import InputError
from s2m2.recipe.ranges import (
    ContactImages,
    Digits,
    FromZeroBelowOne,
    GrayBits,
    ImageSize,
    IntFromTwo,
    Megapixels,
    NonNegativeInt,
    OpenUnitInterval,
    PixelStep,
    Port,
    PositiveFloat,
    PositiveInt,
    StoredSize,
    Workers,
    check,
    check_distinct,
    check_ranges,
)

Precision = Literal["stored", "float32", "float16", "bfloat16"]
NAME_PLACEHOLDER = "{name}"
"""Stands for the name of the dataset in the path of doctor's page."""

EMBEDDED_BACKBONE = "efficientnet_lite0"
"""Backbone of `fit` that comes with the package."""
PREDICTION_ENDINGS = (".csv", ".jsonl", ".parquet")
"""Of files of predictions."""
TableFormat = Literal["latex", "markdown", "csv"]
TableInterval = Literal["classes", "tasks", "both", "none"]
BoldRule = Literal["winner", "level", "none"]
TABLE_ENDINGS: dict[str, TableFormat] = {".tex": "latex", ".md": "markdown", ".csv": "csv"}
"""Of files of tables, and what they mean."""
TABLE_LABEL = re.compile(r"[A-Za-z0-9:._/-]+")
SHARD = re.compile(r"([0-9]{1,7})/([0-9]{1,7})")


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """Labeled images, and the model that names others after them."""

    images: Path
    """The labeled images: a folder with a folder for each class, or a csv list with the columns filename and label. With --backbone
    features: a .npz or .safetensors file, as `s2m2 evaluate --features` reads it."""
    output: Path
    """Folder of the model."""
    backbone: str | None = None
    """Frozen network that sees the images. null: efficientnet_lite0, which is embedded and needs no download; timm:MODEL;
    timm:MODEL:FILE.safetensors; the directory of a run or an export; a name of weights in the repository, which `s2m2 evaluate --help`
    lists; features: none, as IMAGES holds features."""
    classifier: str | dict[str, Any] | None = None
    """Few-shot classifier on the features, as a name or with settings; `s2m2 settings evaluate.classifiers` lists them. One that looks at
    all images together, such as tim, is refused. null: auto, which is that of S2M2, cosine, and for more than 1,000 images
    cosine_centroid."""
    unknown: FromZeroBelowOne | None = None
    """Fraction of images of your classes that may be turned away as "none of these"; 0: no image is called unknown. null: 0.05."""
    reference: Path | None = None
    """Folder of class folders with other classes than yours, from which probabilities and thresholds are calibrated. null: those that come
    with the backbone."""
    add: bool = False
    """Add the images to the model in --output, which keeps its backbone, classifier, unknown, reference and seed; only the new images
    pass through the backbone."""
    overwrite: bool = False
    """Replace a model in --output; nothing else is ever replaced."""
    page: Path | None = None
    """Also write the estimate of what the model is worth, with the images, to this .html file. null: print it only."""
    device: str | None = None
    """Where the backbone runs, such as cpu or cuda:1. null: a GPU if there is one."""
    batch_size: PositiveInt = 64
    """Images in one pass of the backbone."""
    seed: NonNegativeInt | None = None
    """Seed of the classifier and of the calibration. null: 0."""
    trust_code: bool = False
    """With --add: allow a model whose classifier or backbone is code of others. That code runs, so trust who made the model."""

    def __post_init__(self) -> None:
        check_ranges(self, "")
        check(not (self.add and self.overwrite), "add", "true", "without --overwrite")
        check(self.add or not self.trust_code, "trust_code", "true", "with --add only; a new model is your own")
        check_page(self.page)


def check_page(page: Path | None) -> None:
    """Raise `InputError` unless the name of a page is that of one."""
    check(page is None or page.suffix in (".html", ".htm"), "page", page, "a file that ends in .html, or null")


@dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """A model of `s2m2 fit`, and the images that it names."""

    model: Path
    """Folder of the model."""
    photos: tuple[str, ...] = ()
    """The images: files, folders with all that is below them, patterns such as 'photos/*.jpg', and - for names on standard input, one a
    line. For a model of features: .npz files with the array `features`."""
    output: Path | None = None
    """New file with a line for each image, .csv, .jsonl or .parquet. null: a short table is printed."""
    coverage: OpenUnitInterval = 0.95
    """Probability that the alternatives of an image have its class, where it is of one of the classes."""
    unknown: FromZeroBelowOne | None = None
    """Fraction of images of the classes that may be turned away as "none of these". null: that of the model."""
    shard: str | None = None
    """Part of the images, such as 3/16: each 16th, beginning with the third, so that 16 calls share the work. null: all; under torchrun
    or srun the part of the process."""
    overwrite: bool = False
    """Replace a file in --output."""
    page: Path | None = None
    """Also show the 500 most doubtful images, each beside the labeled images that are most like it, in this .html file; it replaces an
    earlier one. After a kill it has the images named since. null: no page."""
    device: str | None = None
    """Where the backbone runs, such as cpu or cuda:1. null: a GPU if there is one."""
    batch_size: PositiveInt = 64
    """Images in one pass of the backbone."""
    trust_code: bool = False
    """Allow a model whose classifier or backbone is code of others. That code runs, so trust who made the model."""

    def __post_init__(self) -> None:
        check_ranges(self, "")
        check_page(self.page)
        if not self.photos:
            raise InputError("needs PHOTOS: files, folders, patterns such as 'photos/*.jpg', or - for names on standard input")
        ending = self.output is None or self.output.suffix in PREDICTION_ENDINGS
        check(ending, "output", self.output, f"a name that ends with {' or '.join(PREDICTION_ENDINGS)}")
        if self.shard is not None:
            parts = SHARD.fullmatch(self.shard)
            check(parts is not None and 1 <= int(parts[1]) <= int(parts[2]), "shard", self.shard, "I/N from 1/N to N/N, such as 3/16")


@dataclass(frozen=True, kw_only=True)
class SuggestConfig:
    """A model of `s2m2 fit`, and unlabeled images of which the most useful are to be labeled next."""

    model: Path
    """Folder of the model."""
    photos: tuple[str, ...] = ()
    """The images, as for `s2m2 predict`."""
    output: Path | None = None
    """New .csv file with the columns filename and label, the most probable class, to be corrected: `s2m2 fit FILE --add true` learns from
    it. A label that a spreadsheet would compute, such as -tail, has an apostrophe before it, which fit takes off again. null: the
    suggestions are printed only."""
    count: PositiveInt = 10
    """Suggestions at most."""
    overwrite: bool = False
    """Replace a file in --output."""
    device: str | None = None
    """Where the backbone runs, such as cpu or cuda:1. null: a GPU if there is one."""
    batch_size: PositiveInt = 64
    """Images in one pass of the backbone."""
    trust_code: bool = False
    """Allow a model whose classifier or backbone is code of others. That code runs, so trust who made the model."""

    def __post_init__(self) -> None:
        check_ranges(self, "")
        if not self.photos:
            raise InputError("needs PHOTOS: files, folders, patterns such as 'photos/*.jpg', or - for names on standard input")
        check(self.output is None or self.output.suffix == ".csv", "output", self.output, "a name that ends with .csv, or null")


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """Images on disk that become a dataset."""

    source: Path
    """The images: the folder of a dataset as distributed, a folder of class folders, or a CSV or JSON list of images."""
    output: Path
    """Folder of the new dataset, for data.path of a recipe."""
    dataset: Literal["auto", "own", "cifar_fs", "fc100", "cub", "mini_imagenet", "tiered_imagenet", "omniglot"] = "auto"
    """Dataset of the source. own: your images, in class folders or a list; auto: recognized by its files, else own."""
    download: bool = False
    """Download CIFAR-100 into the source folder with torchvision and check it, unless it is there (cifar_fs and fc100)."""
    splits: str | None = None
    """Classes of base, validation and novel: three fractions such as 0.64,0.16,0.2, sampled by the seed; a packaged class list
    (cifar_fs, fc100, cub, ...); a JSON file with the lists base, validation and novel; or a folder with train.txt, val.txt and test.txt,
    one class per line. null: those of the source, else the fractions 0.64,0.16,0.2."""
    box: bool = False
    """Crop each image to its bounding box, for datasets that have them (CUB)."""
    rotated: bool = False
    """Add the three rotations of a class as classes of their own, as is usual on Omniglot."""
    size: StoredSize | None = None
    """Size of the stored square images, in pixels, 8 to 4096. null: unchanged where all are equal squares up to the dataset's usual size
    (own images: up to 256), else that usual size (own images: 92)."""
    fit: Literal["squash", "crop"] = "squash"
    """Images that are not square. squash: resized to a square, as in S2M2; crop: resized by the short side, then center crop."""
    resize: Literal["bilinear", "fast"] = "bilinear"
    """How images become smaller. bilinear: decoded whole, then resized as published numbers mean it: by torchvision's bilinear Resize;
    fast: JPEGs decoded at a fraction of their size, then bicubic, as in s2m2 0.1.0; faster for photos of many megapixels."""
    max_megapixels: Megapixels = 50.0
    """Largest image, in millions of pixels, up to 175. Decoding takes up to 20 bytes of memory for each pixel, in every process."""
    gray_bits: GrayBits | None = None
    """Bits of the gray values in files of 16 and 32 bits, 8 to 32: 12 for those of many cameras. null: 16; an image is refused whose values
    stay below a sixteenth of white, as those of 8 and 12 bits do."""
    seed: NonNegativeInt = 0
    """Seed of the classes sampled by fractions."""
    min_images: NonNegativeInt = 0
    """Leave out classes with fewer images, which are counted and named; a task of 5 shots and 15 queries needs 20. 0: none; a class
    without an image is an error then."""
    workers: Workers = 0
    """Processes that decode images, up to 256; 0: one per CPU core."""
    overwrite: bool = False
    """Replace a dataset in the output folder; nothing else is ever replaced."""
    name: str | None = None
    """Name of the dataset in results and reports. null: that of the dataset, or of the source folder."""

    def __post_init__(self) -> None:
        check_ranges(self, "")
        if self.download:
            check(self.dataset in ("cifar_fs", "fc100"), "dataset", self.dataset, "cifar_fs or fc100 with --download")
        check(self.name is None or bool(self.name.strip()), "name", repr(self.name), "a name, or null")
        check(
            self.splits is None or bool(self.splits.strip()), "splits", repr(self.splits), "three fractions, a class list, a path, or null"
        )


@dataclass(frozen=True, kw_only=True)
class DoctorConfig:
    """A dataset to inspect, and the tasks it must be large enough for."""

    data: str
    """The data: a folder written by `s2m2 prepare`, a rendered dataset such as `glyphs`, or images as `s2m2 prepare` takes them."""
    dataset: str = "auto"
    """Name of the dataset, as in `s2m2 prepare`: its layout on disk and its expected number of classes and images. own: no expectation;
    auto: recognized by its files, else own."""
    splits: str | None = None
    """Classes of base, validation and novel, as in `s2m2 prepare`; for images only. null: those of the source."""
    seed: NonNegativeInt = 0
    """Seed of the classes sampled by fractions, as in `s2m2 prepare`; for images only."""
    box: bool = False
    """Inspect the bounding box of each image only, as in `s2m2 prepare`; for images only."""
    rotated: bool = False
    """Count rotations as classes of their own, as in `s2m2 prepare`; for images only."""
    max_megapixels: Megapixels = 50.0
    """Largest image, in millions of pixels, up to 175. Decoding takes up to 20 bytes of memory for each pixel, in every process."""
    gray_bits: GrayBits | None = None
    """Bits of the gray values in files of 16 and 32 bits, 8 to 32: 12 for those of many cameras. null: 16; an image is refused whose values
    stay below a sixteenth of white, as those of 8 and 12 bits do."""
    ways: PositiveInt = 5
    """Classes per task; a split with fewer is a finding."""
    shots: PositiveInt = 5
    """Support images per class."""
    queries: PositiveInt = 15
    """Query images per class; a class with fewer than shots + queries images is a finding."""
    images: ContactImages = 8
    """Images of each class on the page, up to 100; 0: none."""
    output: str | None = "doctor-{name}.html"
    """HTML page to write, with the dataset's name for {name}; it replaces an earlier one. null: none."""
    workers: Workers = 0
    """Processes that decode images, or threads that read a dataset, up to 256; 0: one per CPU core."""

    def __post_init__(self) -> None:
        check_ranges(self, "")
        check(self.output is None or self.output.endswith((".html", ".htm")), "output", self.output, "a file that ends in .html, or null")


@dataclass(frozen=True, kw_only=True)
class ImportConfig:
    """Weights or features from elsewhere, and what they become."""

    source: Path
    """A file that S2M2's authors released, a torch checkpoint of WRN-28-10; a plain state_dict of that network; a run directory or an
    export, the weights of which are to go on with other images; or features and labels in any format that `evaluate --features` reads."""
    output: Path
    """New path: for a checkpoint a run directory, which `s2m2 evaluate --run` scores; for features a .safetensors or .npz file, which
    `s2m2 evaluate --features` scores."""
    kind: Literal["auto", "checkpoint", "features"] = "auto"
    """Kind of the source. auto: recognized by what it holds."""
    stage: Literal["pretrain", "finetune"] = "finetune"
    """Stage that the weights become. finetune: S2M2_R, and all others to be scored only; pretrain: a file of the rotation stage, and
    others that `s2m2 finetune` is to start from."""
    dataset: str = "glyphs"
    """Dataset of the run of a checkpoint, data.path of its recipe; `s2m2 evaluate --run DIR --data.path` can name another one later."""
    image_size: ImageSize = 80
    """Size of the square that the network of a checkpoint sees, in pixels, 28 or more: 32 for CIFAR-FS, 80 for the authors' other
    datasets. A run has its own."""

    def __post_init__(self) -> None:
        check_ranges(self, "")
        check(bool(self.dataset.strip()), "dataset", repr(self.dataset), "a dataset or a folder")


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Weights of a run to give away, with their license."""

    run: Path
    """Run directory with the weights."""
    output: Path
    """New folder; `s2m2 evaluate --run` scores it like a run."""
    stage: Literal["pretrain", "finetune"] | None = None
    """Stage of the exported weights, the best of it. null: the last finished one."""
    precision: Precision = "stored"
    """Number format of kernels and matrices. stored: as in the run, which is float32 unless the run is an export itself. float16 and
    bfloat16 halve the file; float16 is coarse below 6e-5. Values per channel, such as BatchNorm statistics, stay float32, and so does all
    arithmetic."""
    license: str | None = None
    """License of the weights for the model card: an identifier such as apache-2.0 or cc-by-4.0, or your own words. null: the card says
    that none is stated."""
    data_license: str | None = None
    """License or terms of the training images for the model card. null: the card says that none is stated."""

    def __post_init__(self) -> None:
        check_ranges(self, "")
        for name in ("license", "data_license"):
            words = getattr(self, name)
            check(words is None or bool(words.strip()), name, repr(words), "words, or left out")


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """Two results, or two runs, scored on the same tasks."""

    first: str
    """A file of results, or the directory of a run or of `evaluate --features`."""
    second: str | None = None
    """Another file of results, or another run directory. null: the first run itself."""
    classifiers: tuple[str, ...] = ()
    """Classifier of the first and of the second, or one for both. Empty: every classifier that both have, with itself."""
    features: tuple[str, ...] = ()
    """Features of the first and of the second, such as pretrain finetune, or one for both. Empty: those of the last stage of each."""
    output: str | None = None
    """Also write the table to this .csv or .md file. null: print it only."""

    def __post_init__(self) -> None:
        for name in ("classifiers", "features"):
            values = getattr(self, name)
            check(len(values) <= 2, name, list(values), "one name, or two")
        ending = self.output is None or self.output.endswith((".csv", ".md"))
        check(ending, "output", self.output, "a name that ends with .csv or .md")


@dataclass(frozen=True, kw_only=True)
class TableConfig:
    """Results that become a table for a paper, and its look."""

    runs: tuple[str, ...] = ()
    """Directories of runs or of `evaluate --features`, and files of results."""
    names: tuple[str, ...] = ()
    """What the rows call them, in this order; files of results of one run are one. Empty: the names of their folders."""
    classifiers: tuple[str, ...] = ()
    """Rows of these classifiers only. Empty: of all."""
    features: tuple[str, ...] = ()
    """Rows of these features only, such as finetune. Empty: of all."""
    splits: tuple[str, ...] = ()
    """Columns of these classes only, such as novel. Empty: of all."""
    protocols: tuple[str, ...] = ()
    """Columns of these protocols of sampling only. Empty: of all."""
    ways: tuple[NonNegativeInt, ...] = ()
    """Columns of these numbers of ways only. Empty: of all."""
    shots: tuple[NonNegativeInt, ...] = ()
    """Columns of these numbers of shots only. Empty: of all."""
    tasks: tuple[PositiveInt, ...] = ()
    """Results over these numbers of tasks only. Empty: over all; of several for one cell, the newest."""
    seeds: tuple[NonNegativeInt, ...] = ()
    """Results on tasks of these seeds only. Empty: of all; of several for one cell, the newest."""
    format: TableFormat | None = None
    """latex needs the package booktabs; csv has all numbers, as fractions in full precision, and all tests. null: that of the ending of
    --output, else markdown."""
    interval: TableInterval = "classes"
    """Half-width of the 95% interval behind ±. classes: over classes and their images, for other classes of the kind; tasks: for these
    classes again, as papers mostly state it; both: the first, and the second in brackets; none: means alone."""
    bold: BoldRule = "winner"
    """winner: the best entry of a column, where the paired test over classes (5 %, adjusted by Holm) shows it to be better than every
    other; level: the best, and all that the test does not tell from it; none. A note below says so, and why there was no test."""
    digits: Digits = 2
    """After the decimal point of percentages, 0 to 4; csv has all."""
    caption: str | None = None
    """Words over the table, in latex and markdown. null: what the numbers are means of."""
    label: str | None = None
    """Label of the table in latex, such as tab:scores. null: none."""
    published: bool = False
    """Add the published row of S2M2_R (WRN-28-10) where the name of the dataset, 5 ways and 1 or 5 shots have one."""
    output: Path | None = None
    """Write the table to this file, .tex, .md, .csv, or any with --format. null: print it."""
    figures: Path | None = None
    """Also write curves of accuracy against shots and against ways into this folder, 3.3 inches wide, each as PDF and SVG. null: none."""

    def __post_init__(self) -> None:
        check_ranges(self, "")
        if not self.runs:
            raise InputError("needs RUN: directories of runs, or files of results")
        for name in ("names", "classifiers", "features", "splits", "protocols", "ways", "shots", "tasks", "seeds"):
            check_distinct(name, getattr(self, name), empty=True)
        check(all(name.strip() for name in self.names), "names", list(self.names), "names that can be seen")
        known = self.output is None or self.format is not None or self.output.suffix in TABLE_ENDINGS
        check(known, "output", self.output, f"a name that ends with {', '.join(TABLE_ENDINGS)}, or needs --format beside it")
        stated = TABLE_ENDINGS.get(self.output.suffix, self.text_format) if self.output is not None else self.text_format
        check(stated == self.text_format, "format", self.format, f"{stated}, as --output is {self.output}")
        check(self.caption is None or self.text_format != "csv", "caption", repr(self.caption), "null, as csv has none")
        check(self.label is None or self.text_format == "latex", "label", self.label, f"null, as {self.text_format} has none")
        fits = self.label is None or TABLE_LABEL.fullmatch(self.label) is not None
        check(fits, "label", repr(self.label), "letters, digits and : . _ / -")

    @property
    def text_format(self) -> TableFormat:
        """That of the table, by the ending of its file where none is stated."""
        return self.format or TABLE_ENDINGS.get(self.output.suffix if self.output is not None else "", "markdown")


@dataclass(frozen=True, kw_only=True)
class FeatureFileConfig:
    """Features of files to evaluate in place of a run."""

    features: Path | None = None
    """Features and labels to score in place of a run: .npz, .npy, .pt, .csv, HDF5 or .safetensors. null: those of --run."""
    base_features: Path | None = None
    """With --features: features of the base classes, for classifiers and transforms that use them. null: none."""
    validation_features: Path | None = None
    """With --features: features of the validation classes, for the choice of temperature and threshold. null: none."""
    output: Path | None = None
    """With --features: directory of the results. null: the file's name with -results, in the current directory."""


@dataclass(frozen=True, kw_only=True)
class ProfileConfig:
    """Measurement of a training step."""

    steps: PositiveInt = 20
    """Steps per repeat."""
    repeats: PositiveInt = 3
    """Alternating repeats of the bare and the whole step, after one uncounted repeat of each."""
    output: Path | None = None
    """JSON file of the metrics. null: print them only."""

    def __post_init__(self) -> None:
        check_ranges(self, "")


@dataclass(frozen=True, kw_only=True)
class AnalyzeConfig:
    """Measures of a trained network (`s2m2 analyze`), and how many images they take."""

    classes: IntFromTwo = 20
    """Classes whose representations are measured, sampled from base and from novel classes; all if there are fewer."""
    images: IntFromTwo = 30
    """Images per class, sampled at random; all if there are fewer. Memory: all values of two stages at a time, 0.6 GB for WRN-28-10, 20
    classes and 30 images."""
    temperature: PositiveFloat | None = None
    """Temperature of the soft nearest neighbor loss, in units of the squared distance. null: for each stage the one with the lowest loss,
    which makes stages of different scale comparable."""
    predictions: PositiveInt = 2000
    """Images of base classes to measure the classification head on, sampled at random; all if there are fewer."""
    epsilons: tuple[PixelStep, ...] = (1.0, 2.0, 4.0, 8.0)
    """Step sizes of the signed-gradient attack, in levels of an 8-bit image, which has 255."""
    batch_size: PositiveInt = 128
    """Images per forward pass."""
    seed: NonNegativeInt = 0
    """Seed of the sampled images."""

    def __post_init__(self) -> None:
        check_ranges(self, "analyze")
        rising = all(low < high for low, high in zip(self.epsilons, self.epsilons[1:], strict=False))
        check(rising, "analyze.epsilons", list(self.epsilons), "rising")


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """A saved image classifier as a page and a REST interface."""

    model: Path
    """Folder of the model, as `s2m2 fit` or `ImageClassifier.save` wrote it. Corrections are saved into it."""
    host: str = "127.0.0.1"
    """Address to listen on. 127.0.0.1: this computer only; 0.0.0.0: every network of it. All but this computer needs a token."""
    port: Port = 8000
    """TCP port, up to 65535; 0: any free one."""
    token: str | None = None
    """Secret that every request must bring, 16 characters or more. null: that of the environment variable S2M2_TOKEN; without it none on
    this computer only, else a new one at each start."""
    allowed_hosts: tuple[str, ...] = ()
    """Further host names under which the server is reached, such as that of a proxy before it."""
    device: str | None = None
    """Where the network runs, such as cuda. null: a GPU if there is one."""
    max_megabytes: PositiveFloat = 32.0
    """Size of a request, in millions of bytes."""
    max_megapixels: Megapixels = 50.0
    """Size of a photo, in millions of pixels, up to 175. Decoding takes up to 20 bytes of memory for each pixel; of large photos, one
    is decoded at a time."""
    max_files: PositiveInt = 64
    """Photos in a request."""
    max_waiting: PositiveInt = 128
    """Requests at once; further ones are answered with 503 and come back later."""
    timeout: PositiveFloat = 30.0
    """Seconds for a request."""
    trust_code: bool = False
    """Allow a model whose classifier or backbone is code of others. That code runs, so trust who made the model."""

    def __post_init__(self) -> None:
        check_ranges(self, "")
        check(bool(self.host.strip()), "host", repr(self.host), "an address of this computer, such as 127.0.0.1 or 0.0.0.0")

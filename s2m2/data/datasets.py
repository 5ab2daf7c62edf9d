"""The data sets by name: their splits, the sizes that results are published for, and where their files come from."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from s2m2.data.table import Split


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """What is agreed on about a data set."""

    title: str
    """As papers write it."""
    citation: str
    """Where pictures and split come from."""
    image_size: int
    """Side of the square that the network sees, in pixels: S2M2's where S2M2 uses the data set."""
    resize: float = 1.15
    """At evaluation a picture is resized to this multiple of `image_size` before its centre is cropped."""
    original_side: int | None = None
    """Side of all pictures as they are distributed, in pixels, where no larger ones exist; None: they vary, or larger ones do exist."""
    reader: str | None
    """Name that `list_source` knows the layouts by; None: the pictures are drawn."""
    class_list: str | None
    """Name of the packaged class list of the canonical split; None: the pictures bring it."""
    classes: Mapping[Split, int]
    """Classes of each split."""
    pictures: Mapping[Split, int]
    """Pictures of each split."""
    files: str
    """What to obtain, and from where."""

    @property
    def storage_side(self) -> int:
        """Side in pixels that a table needs so that evaluation does not enlarge it; never more than the pictures have."""
        needed = math.ceil(self.image_size * self.resize - 1e-6)  # 100 * 1.15 is a little more than 115 in floating point
        return needed if self.original_side is None else min(needed, self.original_side)


CIFAR_FILES = (
    "cifar100.zip, the archive of Bertinetto et al. (data/<class>/*.png and splits/bertinetto), or CIFAR-100 for Python "
    "(cifar-100-python/ with train, test and meta), which torchvision downloads"
)
ILSVRC = "the class folders of ILSVRC 2012's training pictures (image-net.org, after registration)"

DATASETS: dict[str, Dataset] = {
    "mini_imagenet": Dataset(
        title="mini-ImageNet",
        citation="Vinyals et al., NeurIPS 2016; split of Ravi & Larochelle, ICLR 2017",
        image_size=80,
        reader="mini_imagenet",
        class_list="mini_imagenet",
        classes={"base": 64, "validation": 16, "novel": 20},
        pictures={"base": 38_400, "validation": 9_600, "novel": 12_000},
        files="mini-imagenet-cache-{train,val,test}.pkl (--data.download learn2learn obtains them); or train.csv, val.csv and test.csv "
        f"(github.com/twitter-research/meta-learning-lstm) beside the 84x84 pictures or {ILSVRC}; or 100 class folders",
    ),
    "tiered_imagenet": Dataset(
        title="tieredImageNet",
        citation="Ren et al., ICLR 2018",
        image_size=80,
        reader="tiered_imagenet",
        class_list="tiered_imagenet",
        classes={"base": 351, "validation": 97, "novel": 160},
        pictures={"base": 448_695, "validation": 124_261, "novel": 206_209},
        files="{train,val,test}_images_png.pkl with {train,val,test}_labels.pkl (github.com/renmengye/few-shot-ssl-public; "
        f"--data.download learn2learn obtains them); or {ILSVRC}",
    ),
    "cub": Dataset(
        title="CUB-200-2011",
        citation="Wah et al. 2011; split of Chen et al., ICLR 2019",
        image_size=80,
        reader="cub",
        class_list="cub",
        classes={"base": 100, "validation": 50, "novel": 50},
        pictures={"base": 5_885, "validation": 2_950, "novel": 2_953},
        files="CUB_200_2011.tgz (data.caltech.edu/records/65de6-vp158; --data.download learn2learn obtains it)",
    ),
    "cifar_fs": Dataset(
        title="CIFAR-FS",
        citation="Bertinetto et al., ICLR 2019, of CIFAR-100 (Krizhevsky 2009)",
        image_size=32,
        original_side=32,
        reader="cifar_fs",
        class_list="cifar_fs",
        classes={"base": 64, "validation": 16, "novel": 20},
        pictures={"base": 38_400, "validation": 9_600, "novel": 12_000},
        files=CIFAR_FILES,
    ),
    "fc100": Dataset(
        title="FC100",
        citation="Oreshkin et al., NeurIPS 2018, of CIFAR-100 (Krizhevsky 2009)",
        image_size=32,
        original_side=32,
        reader="fc100",
        class_list="fc100",
        classes={"base": 60, "validation": 20, "novel": 20},
        pictures={"base": 36_000, "validation": 12_000, "novel": 12_000},
        files=f"{CIFAR_FILES}; or FC100_{{train,val,test}}.pickle (--data.download learn2learn obtains them)",
    ),
    "omniglot": Dataset(
        title="Omniglot",
        citation="Lake et al., Science 2015; split of Vinyals et al., NeurIPS 2016",
        image_size=28,
        resize=1.0,
        reader="omniglot",
        class_list="omniglot",
        classes={"base": 1_028, "validation": 172, "novel": 423},
        pictures={"base": 20_560, "validation": 3_440, "novel": 8_460},
        files="images_background.zip and images_evaluation.zip (github.com/brendenlake/omniglot, folder python)",
    ),
    "glyphs": Dataset(
        title="glyphs",
        citation="drawn by this package from the fonts that matplotlib ships",
        image_size=32,
        original_side=32,
        reader=None,
        class_list=None,
        classes={"base": 64, "validation": 16, "novel": 20},
        pictures={"base": 7_680, "validation": 1_920, "novel": 2_400},
        files="nothing: they are drawn on first use",
    ),
}
"""Rotated, Omniglot has four times the classes and pictures."""

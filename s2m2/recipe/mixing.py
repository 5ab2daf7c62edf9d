"""Settings of mixing images."""

from dataclasses import dataclass
from typing import Literal

from s2m2.recipe.checks import check


@dataclass(frozen=True, kw_only=True)
class MixConfig:
    """Which images are mixed, where, and by how much; the defaults are S2M2's."""

    method: Literal["mixup", "cutmix"] = "mixup"
    """mixup: averages of representations. cutmix: a rectangle of the partner's image in place of one's own (torchvision's)."""
    stages: tuple[int, ...] | None = None
    """Where to mix: before which stages of the backbone, one of them drawn each step. 0 is the input (mixup); the number of stages,
    or -1, the features before the classifier (last-layer mixup). null: before every stage, the input included (S2M2)."""
    alpha: float = 2.0
    """Weights are drawn from Beta(alpha, alpha). Below 1 most mixtures are nearly one image; 0 mixes nothing: plain training."""
    per_sample: bool = False
    """A weight for each image; off: one weight for all images of a step."""
    prob: float = 1.0
    """Probability that an image is mixed at all."""
    num_images: int = 2
    """Images in a mixture; more than 2 have weights from Dirichlet(alpha, ..., alpha)."""
    partners: Literal["batch", "class", "second_batch"] = "batch"
    """Where partners come from: the same batch; images of the same class in it (an ablation); a second batch, drawn by itself,
    which costs a second pass up to the mixed stage."""
    loss: Literal["cross_entropy", "binary_cross_entropy"] = "cross_entropy"
    """Loss against the mixed labels: cross_entropy (S2M2), or the binary cross entropy of every class."""

    def check_at(self, at: str, batch_size: int) -> None:
        """Raise `InputError`, naming the flag, if a setting is out of range; the place of these settings is `at`."""
        stages = self.stages
        check(stages is None or (bool(stages) and min(stages) >= -1), f"{at}.stages", stages, "stage numbers from 0, -1, or null")
        check(self.alpha >= 0, f"{at}.alpha", self.alpha, "0 or more")
        check(0 < self.prob <= 1, f"{at}.prob", self.prob, "above 0 and at most 1")
        check(2 <= self.num_images <= 8, f"{at}.num_images", self.num_images, "from 2 to 8")
        check(self.num_images <= batch_size, f"{at}.num_images", self.num_images, "at most the batch size")
        second = self.partners == "second_batch"
        check(self.num_images == 2 or not second, f"{at}.num_images", self.num_images, "2 with partners from a second batch")
        if self.method == "cutmix":
            check(self.stages in (None, (0,)), f"{at}.stages", stages, "null or 0 with cutmix, which cuts images")
            check(self.alpha > 0, f"{at}.alpha", self.alpha, "above 0 with cutmix")
            own = MixConfig(method="cutmix", alpha=self.alpha, loss=self.loss, stages=self.stages)
            check(self == own, f"{at}.method", self.method, "mixup with per_sample, prob, num_images or partners of one's own")

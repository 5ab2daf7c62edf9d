"""Settings of `s2m2 analyze`."""

from dataclasses import dataclass

from s2m2.recipe.checks import check


@dataclass(frozen=True, kw_only=True)
class AnalyzeConfig:
    """What is measured of a trained network, and on how many images."""

    classes: int = 20
    """Classes whose representations are measured, drawn from the base and from the novel classes; all where there are fewer."""
    images: int = 30
    """Images of each of these classes, drawn at random; all where there are fewer. Of the values of all of them at one stage, two
    stages are in memory at a time: 0.6 GB for WRN-28-10, 20 classes and 30 images."""
    temperature: float | None = None
    """Temperature of the soft nearest neighbor loss, in units of the squared distance. null: for each stage the one that makes the loss
    least, so that stages of different scale can be compared."""
    predictions: int = 2000
    """Images of base classes that the class head is measured on, drawn at random; all where there are fewer."""
    epsilons: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)
    """Lengths of the step of the signed-gradient attack, in levels of an 8-bit image, which has 255."""
    batch_size: int = 128
    """Images that the network sees at once."""
    seed: int = 0
    """Seed of the images that are drawn."""

    def __post_init__(self) -> None:
        for name, least in (("classes", 2), ("images", 2), ("predictions", 1), ("batch_size", 1), ("seed", 0)):
            check(getattr(self, name) >= least, f"analyze.{name}", getattr(self, name), f"{least} or more")
        check(self.temperature is None or self.temperature > 0, "analyze.temperature", self.temperature, "above 0, or null")
        rising = all(0 < low < high for low, high in zip((1e-9, *self.epsilons), self.epsilons, strict=False))
        check(rising and max(self.epsilons, default=0) <= 255, "analyze.epsilons", list(self.epsilons), "rising, above 0 and up to 255")

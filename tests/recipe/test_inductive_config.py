import pytest

from s2m2.errors import InputError
from s2m2.recipe.inductive import CalibratedConfig, ConvergedCosineConfig, LogisticConfig, RidgeConfig, SvmConfig


@pytest.mark.parametrize(
    ("config", "values"),
    [
        (ConvergedCosineConfig, {"weight_decay": 0.0}),
        (ConvergedCosineConfig, {"scale": -1.0}),
        (LogisticConfig, {"inverse_penalty": 0.0}),
        (SvmConfig, {"inverse_penalty": -1.0}),
        (RidgeConfig, {"penalty": 0.0}),
        (CalibratedConfig, {"power": 0.0}),
        (CalibratedConfig, {"neighbors": 0}),
        (CalibratedConfig, {"samples": 0}),
        (CalibratedConfig, {"spread": -0.1}),
        (CalibratedConfig, {"inverse_penalty": 0.0}),
    ],
)
def test_values_out_of_range_are_named(config: type, values: dict[str, float]) -> None:
    with pytest.raises(InputError, match=rf"--evaluate\.\w+\.{next(iter(values))} is"):
        config(**values)


def test_distribution_calibration_has_the_papers_settings() -> None:
    config = CalibratedConfig()
    assert (config.power, config.neighbors, config.spread, config.samples) == (0.5, 2, 0.21, 750)

"""What is measured of a network on a GPU is what is measured on a CPU."""

import pytest
import torch

from s2m2.analysis.predictions import Classifier, measure_head
from s2m2.analysis.representation import measure_representation
from s2m2.models import LinearHead
from s2m2.random import generator_for
from tests.models.tiny import tiny_backbone

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA GPU")


def view(images: torch.Tensor) -> torch.Tensor:
    return images.permute(0, 3, 1, 2).float() / 255


def test_measures_on_a_gpu_are_those_on_a_cpu() -> None:
    images = torch.randint(256, (40, 28, 28, 3), generator=generator_for(0), dtype=torch.uint8)
    rows, labels, backbone = torch.arange(40), torch.arange(40) % 4, tiny_backbone("conv4")
    classifier = Classifier(backbone, LinearHead(backbone.feature_dim, 4))
    measured = []
    for device in ("cpu", "cuda"):
        classifier.to(device)
        layers = measure_representation(backbone, images, rows, labels, view, batch_size=16, device=device).layers
        head = measure_head(
            classifier, images, rows, labels, view, epsilons=(2.0,), mean=(0, 0, 0), std=(1, 1, 1), batch_size=16, device=device
        )
        measured.append([value for layer in layers for value in (layer.entanglement, layer.effective_rank)] + [head.nll])
    assert measured[0] == pytest.approx(measured[1], rel=0.01)

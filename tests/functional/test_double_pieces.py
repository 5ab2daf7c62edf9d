import pytest
import torch

from s2m2.functional import double_pieces as module
from s2m2.functional.double_pieces import double_pieces
from s2m2.seeding import generator_for


@pytest.mark.parametrize(("chunk", "pieces"), [(3, 10), (16, 3), (2**24, 1)])
def test_the_pieces_are_the_features_in_doubles(monkeypatch: pytest.MonkeyPatch, chunk: int, pieces: int) -> None:
    monkeypatch.setattr(module, "CHUNK", chunk)
    features = torch.randn(4, 10, generator=generator_for(0))
    found = list(double_pieces(features))
    assert len(found) == pieces
    assert torch.equal(torch.cat(found, dim=1), features.double())

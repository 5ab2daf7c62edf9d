import torch

from s2m2.models.conv4 import conv4


def test_each_block_halves_the_size_and_the_last_one_flattens() -> None:
    with torch.device("meta"):
        backbone, values = conv4(84), torch.zeros(2, 3, 84, 84)
    shapes = []
    for stage in backbone.stages:
        values = stage(values)
        shapes.append(tuple(values.shape[1:]))
    assert shapes == [(64, 42, 42), (64, 21, 21), (64, 10, 10), (64 * 5 * 5,)]

"""Augmentation by torchvision, one image at a time, from the same parameters."""

import torch
import torchvision.transforms.v2.functional as tv
from torch import Tensor

from s2m2.data.augment import Augmentation


def augment_by_torchvision(images: Tensor, parameters: Augmentation, size: int) -> Tensor:
    """Crop and antialiased resize, flip, brightness, contrast, saturation: uint8 "batch height width 3" to 0..1."""
    results = []
    for index, image in enumerate(images.permute(0, 3, 1, 2).double() / 255):
        box = [int(values[index]) for values in (parameters.top, parameters.left, parameters.height, parameters.width)]
        value = tv.resized_crop(image, *box, size=[size, size], antialias=True)
        value = tv.horizontal_flip(value) if bool(parameters.flip[index]) else value
        brightness, contrast, saturation = parameters.jitter[index].tolist()
        value = tv.adjust_saturation(tv.adjust_contrast(tv.adjust_brightness(value, brightness), contrast), saturation)
        results.append(value)
    return torch.stack(results)

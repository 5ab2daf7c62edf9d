"""The two self-supervised tasks of S2M2 (Mangla et al., WACV 2020, arXiv 1907.12087), rotation and exemplar, as plain functions.

Stage 1 of S2M2 in any training loop, `net` giving features, `classifier` and `rotation_classifier` logits:

    images, rotations = rotate90_batch(augment(images))        # after all other augmentation
    features, labels = net(images), labels.repeat(4)
    loss = F.cross_entropy(classifier(features), labels) + rotation_loss(rotation_classifier(features), rotations)

or, with the exemplar task in place of rotation:

    features = net(torch.cat([augment(images) for _ in range(4)]))
    loss = F.cross_entropy(classifier(features), labels.repeat(4)) + exemplar_loss(features, copies=4)
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor

from s2m2.arguments import check_instance, switch, whole_number
from s2m2.errors import InputError

ROTATIONS = 4
"""Multiples of 90 degrees."""


def rotate90_batch(
    images: Shaped[Tensor, "batch channel height width"], *, sample: bool = False, generator: torch.Generator | None = None
) -> tuple[Shaped[Tensor, "rotated channel height width"], Int64[Tensor, " rotated"]]:
    """Rotated images and their rotation labels: quarter turns counter-clockwise, 0 to 3 (Gidaris et al., ICLR 2018, arXiv 1803.07728).

    Rotate after all other augmentation: a later resampling leaves traces from which a network reads the angle.

    Args:
        images: square images.
        sample: one random rotation of each image, in place of all four. The losses keep their expectation at a quarter of the cost.
        generator: of the random rotations, on the device of the images; by default torch's global one.

    Returns:
        All four rotations: "4*batch" images, the whole batch upright, then rotated once, and so on; their classes are
        `labels.repeat(4)`. With `sample`: as many images as given.

    Raises:
        InputError: the images are not square, or another argument cannot be used.
    """
    check_instance("images", images, Tensor, "a torch tensor")
    check_instance("generator", generator, (torch.Generator, type(None)), "a torch.Generator, or None")
    if images.ndim != 4 or images.shape[2] != images.shape[3]:
        raise InputError(f'images has shape {tuple(images.shape)}; rotation takes square images "batch channel size size"')
    if switch("sample", sample):
        if generator is not None and generator.device.type != images.device.type:
            raise InputError(f"generator is on {generator.device}, but images is on {images.device}")
        rotations = torch.randint(ROTATIONS, (len(images),), generator=generator, device=images.device)
        return rotate90(images, rotations), rotations
    rotated = torch.cat([torch.rot90(images, rotation, (2, 3)) for rotation in range(ROTATIONS)])
    return rotated, torch.arange(ROTATIONS, device=images.device).repeat_interleave(len(images))


def rotate90(
    images: Shaped[Tensor, "batch channel size size"], rotations: Int64[Tensor, " batch"]
) -> Shaped[Tensor, "batch channel size size"]:
    """Each image rotated by its own number of quarter turns, without resampling: `torch.rot90(image, rotation)`.

    One quarter is a transposition and then a reflection of the rows; two are both reflections; three are a transposition and a
    reflection of the columns. All images pass through the same three selections, so nothing waits for a GPU.
    """
    rotations = rotations[:, None, None, None]
    images = torch.where(rotations % 2 == 1, images.mT, images)
    images = torch.where((rotations + 1) % ROTATIONS >= 2, images.flip(2), images)
    return torch.where(rotations % ROTATIONS >= 2, images.flip(3), images)


def rotation_loss(logits: Float[Tensor, "batch 4"], rotation_labels: Int64[Tensor, " batch"]) -> Float[Tensor, ""]:
    """L_rot = - 1/n sum over images of log p(rotation of the image): mean cross entropy of the four-way guess (S2M2, section 3.2).

    Raises:
        InputError: there are not four logits and one int64 label from 0 to 3 an image.
    """
    _check_floats("logits", logits)
    check_instance("rotation_labels", rotation_labels, Tensor, "a torch tensor")
    if logits.ndim != 2 or logits.shape[1] != ROTATIONS:
        raise InputError(f"logits has shape {tuple(logits.shape)}, but must have one row an image and {ROTATIONS} columns, one a rotation")
    if rotation_labels.dtype != torch.int64 or rotation_labels.shape != logits.shape[:1]:
        labels = f"rotation_labels is {rotation_labels.dtype} of shape {tuple(rotation_labels.shape)}"
        raise InputError(f"{labels}, but must be torch.int64, one a row of the {len(logits)} of logits")
    try:
        return F.cross_entropy(logits, rotation_labels)
    except IndexError as error:  # a GPU says nothing of this kind, and a check would make its host wait
        raise InputError(f"rotation_labels has a number that is no rotation, 0 to {ROTATIONS - 1}") from error


def exemplar_loss(features: Float[Tensor, "item dim"] | Float[Tensor, "copy image dim"], copies: int = 4) -> Float[Tensor, ""]:
    """L_e = mean over all copies of log(1 + exp(max distance to a copy of the same image - min distance to a copy of another)).

    Euclidean distances (S2M2, section 3.2; after Dosovitskiy et al., 2014, arXiv 1406.6909). One printed form has the signs the other
    way round; the accompanying text decides. Computed in float32 at least, also under autocast.

    Args:
        features: features of augmented copies, "copies*batch dim" (the first copy of all images, then the second, and so on) or
            "copy image dim".
        copies: copies of each image (S2M2: four); with three axes the first one counts.

    Raises:
        InputError: `features` has another number of axes or is no multiple of `copies`, or there is only one image.
    """
    _check_floats("features", features)
    copies = whole_number("copies", copies, 1)
    if features.ndim not in (2, 3):
        raise InputError(f'features has shape {tuple(features.shape)}, but must be "copies*batch dim" or "copy image dim"')
    if features.ndim == 2:
        if len(features) % copies:
            raise InputError(f"copies is {copies}, which does not divide the {len(features)} features")
        features = features.unflatten(0, (copies, -1))
    copies, images, _ = features.shape
    if images < 2:
        raise InputError(f"features has {images} image{'s' * (images != 1)}, but the exemplar loss needs two images or more")
    with torch.autocast(features.device.type, enabled=False):
        values = features.flatten(0, 1).to(torch.promote_types(features.dtype, torch.float32))
        same_image = torch.eye(images, dtype=torch.bool, device=values.device).repeat(copies, copies)
        farthest, nearest = _hardest(values.detach(), same_image)
        # Only the two hardest distances of a copy carry a gradient, so only they are computed with one. Where a distance is
        # zero, as among equal copies, `vector_norm` gives the subgradient zero and not the square root's infinity.
        pull = torch.linalg.vector_norm(values - values[farthest], dim=1)
        push = torch.linalg.vector_norm(values - values[nearest], dim=1)
        return F.softplus(pull - push).mean()


def _check_floats(name: str, values: Tensor) -> None:
    """Raise `InputError` unless the values are a tensor of floats."""
    check_instance(name, values, Tensor, "a torch tensor")
    if not values.is_floating_point():
        raise InputError(f"{name} is {values.dtype}, but must be floats")


def _hardest(values: Float[Tensor, "copy dim"], same_image: Bool[Tensor, "copy copy"]) -> tuple[Tensor, Tensor]:
    """For each copy, the index of the farthest copy of the same image and of the nearest copy of another."""
    # Without the product form |a|^2 + |b|^2 - 2ab, whose rounding hides the small distances among copies.
    distance = torch.cdist(values, values, compute_mode="donot_use_mm_for_euclid_dist")
    return distance.masked_fill(~same_image, -1.0).argmax(dim=1), distance.masked_fill(same_image, torch.inf).argmin(dim=1)

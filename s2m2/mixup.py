"""Mixtures of images: mixup (Zhang et al., ICLR 2018, arXiv 1710.09412) and manifold mixup (Verma et al., ICML 2019, arXiv 1806.05236).

Representations of two or more images are averaged with random weights, and their labels alike:
    h = (1 - sum_j lambda_j) h_i + sum_j lambda_j h_p(i, j),    y = (1 - sum_j lambda_j) y_i + sum_j lambda_j y_p(i, j).
Every member of the family is a choice of where (`Mix.stage`), with whom (`Mix.partners`) and how much (`Mix.weights`).

Manifold mixup in any training loop, on any `nn.Module`:

    mixup = ManifoldMixup([net.conv1, net.layer1, net.layer2, net.layer3], alpha=2.0, seed=0)
    for images, labels in loader:
        logits, targets = mixup(net, images, labels, num_classes=64)
        loss = F.cross_entropy(logits, targets)
        ...
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from s2m2.arguments import check_instance, choice, real_number, switch, whole_number
from s2m2.errors import InputError
from s2m2.random import StepStream

MAX_BLOCK_COUNT = 8
MIN_BLOCK = 8

Partners = Literal["batch", "class", "second_batch"]
"""Source of partners: the same batch, images of the same class in it, or a second batch behind the first."""


@dataclass(frozen=True, kw_only=True)
class Mix:
    """One mixture of each image of a batch with one or more partners."""

    stage: int
    """Position of the mixture: before this stage of the backbone; 0 is the input."""
    weights: Float[Tensor, " partner"] | Float[Tensor, "partner batch"]
    """Weight of each partner, lambda_1 and on; the image itself has the rest."""
    partners: Int64[Tensor, "partner batch"]
    """Indices of each image's partners in the batch, or in a second batch that follows it."""

    def blend(self, values: Float[Tensor, " item *axes"]) -> Float[Tensor, " batch *axes"]:
        """x_i + sum over j of lambda_j (x_p(i, j) - x_i), without the second batch if there was one.

        In this form a weight of 0, or an image that is its own partner, leaves x_i as it is to the last bit.
        """
        images = values[: self.partners.shape[1]]
        mixed = images
        for weight, partner in zip(self.weights.to(values.dtype), self.partners, strict=True):
            mixed = mixed + weight.reshape(-1, *[1] * (values.ndim - 1)) * (values[partner] - images)
        return mixed

    def targets(self, labels: Int64[Tensor, " item"], classes: int) -> Float[Tensor, "batch class"]:
        """The mixed labels, as weights of classes."""
        return self.blend(F.one_hot(labels, classes).to(self.weights.dtype))


class ManifoldMixup:
    """Manifold mixup inside any `nn.Module`: at each call, one of the given layers gets a mixed input.

    The layer, the weights and the partners are sampled from a stream of (seed, step) that is the stream of `s2m2 finetune`: on the
    stages of a `Backbone`, the features equal those of fine-tuning with the same seed and settings, to the last bit. `step` counts
    calls and can be set; save `state_dict()` with a checkpoint to resume.

    A call mixes in training and in evaluation mode; call the network itself where nothing is to be mixed. Under
    DistributedDataParallel every process mixes its own batch; DataParallel is refused. To compile, set
    `layer.forward = torch.compile(layer.forward)` for the layers; a graph around them would keep or miss the hooks, and is refused. Do
    not checkpoint the activations of a given layer, which would compute it again without the mixture.
    """

    def __init__(
        self,
        layers: nn.Module | Iterable[nn.Module],
        alpha: float = 2.0,
        *,
        seed: int = 0,
        include_input: bool = False,
        per_sample: bool = False,
        prob: float = 1.0,
        num_images: int = 2,
        partners: Literal["batch", "class"] = "batch",
    ) -> None:
        """Touches no layer until it is called.

        Args:
            layers: layers to mix before, one of them at each call; or a single one. Each runs once in a forward pass, on a tensor
                "batch ..." as its first argument. The first convolution mixes images (S2M2 includes them), the classifier mixes features.
            alpha: weights are sampled from Beta(alpha, alpha); 0 mixes nothing.
            seed: seed of the stream.
            include_input: mix the images too, where no layer of the list takes them.
            per_sample: a weight for each image, not one for the batch.
            prob: probability that an image is mixed at all.
            num_images: images in a mixture; more than 2 have weights from Dirichlet(alpha, ..., alpha).
            partners: from the whole batch, or of the same class only.

        Raises:
            InputError: an argument cannot be used.
        """
        self.layers = _layers(layers)
        self.seed, self.include_input, self.step = whole_number("seed", seed), switch("include_input", include_input), 0
        if not self.layers and not self.include_input:
            raise InputError("layers is empty, and include_input is false: there is nothing to mix")
        self.settings: dict[str, Any] = {
            "alpha": real_number("alpha", alpha, lambda number: number >= 0, "0 or more"),
            "per_sample": switch("per_sample", per_sample),
            "prob": real_number("prob", prob, lambda number: 0 < number <= 1, "above 0 and at most 1"),
            "num_images": whole_number("num_images", num_images, 2, 8),
            "partners": choice("partners", partners, ("batch", "class")),
        }

    def __call__(
        self, net: nn.Module, images: Float[Tensor, "batch ..."], labels: Tensor, *, num_classes: int
    ) -> tuple[Any, Float[Tensor, "batch class"]]:
        """One forward pass with a mixture inside.

        Args:
            net: a network with all the layers, called as `net(images)`.
            images: a batch of any size from 2; the last one of an epoch may be smaller.
            labels: class of each image, int64, from 0 to `num_classes` - 1.

        Returns:
            The output of the network, and the mixed labels for `F.cross_entropy(logits, targets)`.

        Raises:
            InputError: an argument cannot be used, or a layer is not in the network or does not run exactly once.
        """
        self._check_batch(images, labels, whole_number("num_classes", num_classes, 1))
        names = self._names(net)
        stream = StepStream(seed=self.seed, stage="finetune", step=self.step, batch_size=len(images))
        mix = sample_mix(range(len(self.layers) + self.include_input), labels, stream, **self.settings)
        targets = mix.targets(labels, int(num_classes))
        chosen = mix.stage - self.include_input
        hooks = [_MixingHook(name, mix if position == chosen else None) for position, name in enumerate(names)]
        with ExitStack() as registered:
            for layer, hook in zip(self.layers, hooks, strict=True):
                registered.callback(layer.register_forward_pre_hook(hook).remove)
            output = net(mix.blend(images) if chosen < 0 else images)
        for hook in hooks:
            if hook.calls == 0:
                raise InputError(f"layers: {hook.name} did not run in the forward pass")
        self.step += 1
        return output, targets

    def state_dict(self) -> dict[str, int]:
        """The step, to resume from."""
        return {"step": self.step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Resume from a `state_dict`."""
        self.step = whole_number("the step of state", state.get("step") if isinstance(state, Mapping) else state)

    def _check_batch(self, images: Tensor, labels: Tensor, num_classes: int) -> None:
        for name, value in (("images", images), ("labels", labels)):
            check_instance(name, value, Tensor, "a torch tensor")
        if images.ndim == 0 or not images.is_floating_point():
            raise InputError(f"images is {images.dtype} of shape {tuple(images.shape)}, but must be a batch of floats")
        size, number = len(images), self.settings["num_images"]
        if size < 2:
            raise InputError(f"images has {size} image, but mixing takes two or more; drop_last=True leaves out such a batch")
        if number > size:
            raise InputError(f"num_images is {number}, but the batch has {size} images; drop_last=True leaves out a smaller last batch")
        if labels.ndim != 1 or len(labels) != size:
            raise InputError(f"labels has shape {tuple(labels.shape)}, but there are {size} images")
        if labels.dtype != torch.int64:
            raise InputError(f"labels is {labels.dtype}, but must be torch.int64, a class number for each image")
        if labels.device != images.device:
            raise InputError(f"labels is on {labels.device}, but images is on {images.device}")
        low, high = labels.aminmax()
        if low < 0 or high >= num_classes:
            raise InputError(f"labels goes from {int(low)} to {int(high)}, but num_classes is {num_classes}")

    def _names(self, net: nn.Module) -> list[str]:
        """The name of each layer in the network."""
        check_instance("net", net, nn.Module, "an nn.Module")
        if isinstance(net, nn.DataParallel):
            raise InputError("net is an nn.DataParallel, whose replicas cannot mix with each other; use DistributedDataParallel")
        names = {id(module): name or "net" for name, module in net.named_modules()}
        for module in net.modules():
            if _is_compiled(module) and any(part is layer for part in module.modules() for layer in self.layers):
                raise InputError(
                    f"net: {names[id(module)]} is compiled around the layers to mix before; "
                    "set layer.forward = torch.compile(layer.forward) for these instead"
                )
        for position, layer in enumerate(self.layers):
            if id(layer) not in names:
                raise InputError(f"layers[{position}], a {type(layer).__name__}, is not a layer of net")
        return [names[id(layer)] for layer in self.layers]


def _layers(layers: Any) -> tuple[nn.Module, ...]:
    """A single layer or several as a tuple; a ModuleList is several, as it is never called."""
    layers = (layers,) if isinstance(layers, nn.Module) and not isinstance(layers, nn.ModuleList) else layers
    check_instance("layers", layers, Iterable, "an nn.Module or a list of them")
    several = tuple(layers)
    for position, layer in enumerate(several):
        check_instance(f"layers[{position}]", layer, nn.Module, "an nn.Module")
    if len(set(map(id, several))) < len(several):
        raise InputError("layers has the same layer twice")
    return several


def _is_compiled(module: nn.Module) -> bool:
    return hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None


class _MixingHook:
    """Counts the calls of a layer in one forward pass and mixes its input, if a mix is given."""

    def __init__(self, name: str, mix: Mix | None) -> None:
        self.name, self.mix, self.calls = name, mix, 0

    def __call__(self, layer: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
        self.calls += 1
        if self.calls > 1:
            raise InputError(f"layers: {self.name} runs more than once in a forward pass, so its input is not one representation")
        if self.mix is None:
            return None
        size = self.mix.partners.shape[1]
        if not arguments or not isinstance(arguments[0], Tensor) or arguments[0].ndim == 0 or len(arguments[0]) != size:
            raise InputError(f'layers: {self.name} does not get a tensor "batch ..." of {size} images as its first positional argument')
        return (self.mix.blend(arguments[0]), *arguments[1:])


def sample_mix(
    stages: Sequence[int],
    labels: Int64[Tensor, " item"],
    stream: StepStream,
    *,
    alpha: float,
    per_sample: bool = False,
    prob: float = 1.0,
    num_images: int = 2,
    partners: Partners = "batch",
) -> Mix:
    """The stage, weights and partners of one step.

    Stage and weights are the same on all processes. So are the pairs, except for partners of the same class, which come from the
    images of a process.

    Args:
        stages: the stages to choose from.
        labels: classes of the images of this process, followed by those of a second batch if there is one.
        alpha: of Beta(alpha, alpha), or of Dirichlet(alpha, ...) for more than two images; 0 mixes nothing.
        per_sample: a weight for each image, not one for the batch.
        prob: probability that an image is mixed at all.
        num_images: images in a mixture.
    """
    stage = int(stream.numpy_generator("mix").choice(stages))
    weights = _sample_weights(stream, alpha, per_sample, prob, num_images).to(labels.device, non_blocking=True)
    size, device, count = stream.local_size, labels.device, num_images - 1
    if batches_mixed(partners, alpha) == 2:
        return Mix(stage=stage, weights=weights, partners=torch.arange(size, 2 * size, device=device)[None])
    generator = stream.generator("partners", device=device)
    if partners == "class":
        keys = torch.rand(stream.batch_size, count, generator=generator, device=device)
        return Mix(stage=stage, weights=weights, partners=sample_partners_of_class(labels, stream.local(keys).T))
    indices = sample_partners(stream.batch_size, generator, stream.world_size, count)
    return Mix(stage=stage, weights=weights, partners=stream.local(indices.T).T - stream.rank * size)


def batches_mixed(partners: Partners, alpha: float) -> int:
    """Batches that a step needs: 2 if partners come from a second batch and are mixed with at all."""
    return 2 if partners == "second_batch" and alpha > 0 else 1


def _sample_weights(stream: StepStream, alpha: float, per_sample: bool, prob: float, num_images: int) -> Tensor:
    """Weights of the partners, " partner" or "partner batch": (1 - lambda) for one, lambda from Beta(alpha, alpha)."""
    generator = stream.numpy_generator("weights")
    count = stream.batch_size if per_sample else 1
    if alpha == 0:
        weights = torch.zeros(count, num_images - 1)
    else:
        weights = torch.from_numpy(generator.dirichlet([alpha] * num_images, size=count)[:, 1:]).float()
    if prob < 1:
        mixed = torch.from_numpy(generator.random(stream.batch_size) < prob)
        weights = weights * mixed[:, None]
    return stream.local(weights).T if len(weights) > 1 else weights[0]


def sample_partners(batch_size: int, generator: torch.Generator, world_size: int = 1, partners: int = 1) -> Int64[Tensor, "partner batch"]:
    """Random permutations of a batch, within blocks, in which no image is its own partner or has the same partner twice.

    The batch is shuffled already, so a partner from the same block is as random as any. With blocks, the same pairs meet on 1, 2, 4
    and 8 devices, where every device has 8 images or more; with fewer, every device is a block.

    Raises:
        ValueError: the batch cannot be divided equally, or a block has too few images for so many partners.
    """
    blocks = _block_count(batch_size, world_size)
    size = batch_size // blocks
    if partners >= max(size, 2):
        raise ValueError(f"{partners} partners for each image need more than the {size} images that are mixed with each other")
    # An image's partners are its predecessors in a random circle through its block: any other images are equally likely.
    circle = torch.rand(blocks, size, generator=generator, device=generator.device).argsort(dim=1)
    before = torch.stack([torch.empty_like(circle).scatter_(1, circle, circle.roll(shift, dims=1)) for shift in range(1, partners + 1)])
    return (before + torch.arange(blocks, device=generator.device)[:, None] * size).flatten(1)


def sample_partners_of_class(labels: Int64[Tensor, " batch"], keys: Float[Tensor, "partner batch"]) -> Int64[Tensor, "partner batch"]:
    """Partners of the same class: for each partner, a random circle through the images of every class.

    An image that is alone in its class is its own partner, which leaves it as it is.

    Args:
        labels: class of each image.
        keys: independent uniform numbers in [0, 1), which order the circles.
    """
    positions, partners = torch.arange(len(labels), device=labels.device), []
    for key in keys.double():
        circle = (labels + key).argsort()
        classes = labels[circle]
        first = torch.searchsorted(classes, classes)
        last = torch.searchsorted(classes, classes, right=True) - 1
        before = torch.where(positions == first, last, positions - 1)
        partners.append(torch.empty_like(circle).scatter_(0, circle, circle[before]))
    return torch.stack(partners)


def _block_count(batch_size: int, world_size: int) -> int:
    if batch_size % world_size:
        raise ValueError(f"a batch of {batch_size} cannot be shared equally by {world_size} processes")
    blocks = MAX_BLOCK_COUNT
    while blocks > 1 and (batch_size % blocks or batch_size // blocks < MIN_BLOCK):
        blocks //= 2
    return blocks if blocks % world_size == 0 else world_size


def soft_cross_entropy(logits: Float[Tensor, "batch class"], targets: Float[Tensor, "batch class"]) -> Float[Tensor, ""]:
    """- sum over classes of t_c log p_c, mean over the batch, p the softmax of the logits.

    Linear in the targets: with those of a mixture it is lambda CE(y_partner) + (1 - lambda) CE(y_own) (S2M2, L_mm).
    """
    return F.cross_entropy(logits, targets.to(logits.dtype))


def soft_binary_cross_entropy(logits: Float[Tensor, "batch class"], targets: Float[Tensor, "batch class"]) -> Float[Tensor, ""]:
    """Mean over batch and classes of -(t_c log p_c + (1 - t_c) log(1 - p_c)), p the softmax of the logits.

    Verma et al. train with a binary cross entropy of every class, of which their code takes the mean over the classes as well, as
    `torch.nn.BCELoss` does. For two classes it equals `soft_cross_entropy`, as both say the same; for more it also pushes wrong classes
    down one by one. With C classes it is 2 / C as large as half the sum over classes, which this was up to 0.1.0.
    """
    if logits.shape[1] == 1:  # one class: both losses are 0
        return soft_cross_entropy(logits, targets)
    logarithms = F.log_softmax(logits, dim=1)
    # log(1 - p): of the most likely class by the sum of the others, as its p may round to 1; of the others from p, at most a half.
    top = logits.argmax(dim=1, keepdim=True)
    rest = logits.scatter(1, top, -torch.inf).logsumexp(dim=1, keepdim=True) - logits.logsumexp(dim=1, keepdim=True)
    others = torch.log(-torch.expm1(logarithms.scatter(1, top, -1.0))).scatter(1, top, rest)
    targets = targets.to(logits.dtype)
    return -(targets * logarithms + (1 - targets) * others).mean()

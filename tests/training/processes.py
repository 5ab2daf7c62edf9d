"""The work of two gloo processes in the tests of collectives: each writes its results."""

import torch
import torch.distributed as dist

from s2m2.random import generator_for
from s2m2.selfsupervision import exemplar_loss
from s2m2.training.batch_norm import share_statistics
from s2m2.training.distributed import gather_images, join_interleaved

BATCH, CHANNELS, COPIES, DIM, ITEMS = 8, 3, 4, 6, 7


def normalized(values: torch.Tensor, momentum: float = 0.1) -> tuple[torch.nn.BatchNorm2d, torch.Tensor]:
    """A batch normalization with weights of its own, and random images to normalize, float64."""
    norm = torch.nn.BatchNorm2d(CHANNELS, momentum=momentum).double()
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([0.5, 1.0, 2.0]))
        norm.bias.copy_(torch.tensor([0.1, -0.2, 0.3]))
    return norm, values


def images() -> torch.Tensor:
    """The whole batch."""
    return torch.randn(BATCH, CHANNELS, 4, 4, generator=generator_for(0, "images"), dtype=torch.float64) * 3 + 5


def features() -> torch.Tensor:
    """Features "copy image dim" of the whole batch."""
    return torch.randn(COPIES, BATCH, DIM, generator=generator_for(0, "features"), dtype=torch.float64)


def loss_of(values: torch.Tensor, start: int = 0) -> torch.Tensor:
    """A loss in which every value weighs differently: the mean over the images."""
    weights = torch.randn(BATCH, *values.shape[1:], generator=generator_for(0, "weights"), dtype=values.dtype)
    return (values.square() * weights[start : start + len(values)]).flatten(1).sum(1).mean()


def half_of_two(rank: int, rendezvous: str, results: str) -> None:
    """Half of the batch on each of two processes."""
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    start, half = rank * BATCH // 2, BATCH // 2
    norm, whole = normalized(images())
    shared = share_statistics(torch.nn.Sequential(norm), torch.device("cpu"))
    images_here = whole[start : start + half].clone().requires_grad_()
    values = shared(images_here)
    loss_of(values, start).backward()
    copies = features()[:, start : start + half].clone().requires_grad_()
    exemplar = exemplar_loss(gather_images(copies))
    exemplar.backward()
    items = torch.arange(ITEMS * DIM, dtype=torch.float64).reshape(ITEMS, DIM)
    results_here = {
        "items": join_interleaved(items[rank::2], ITEMS),
        "values": values.detach(),
        "gradient": images_here.grad,
        "weight_gradient": shared[0].weight.grad,
        "running_mean": shared[0].running_mean,
        "running_var": shared[0].running_var,
        "exemplar": exemplar.detach(),
        "copies_gradient": copies.grad,
    }
    torch.save(results_here, f"{results}/{rank}.pt")
    dist.destroy_process_group()

"""Several processes as one: each takes its share of every batch, and all step by the batch's whole gradient.

Started by `torchrun`, on one host or several. What one process computes and what N compute together are the same up to
the order of sums: the means of losses are taken over the whole batch, batch normalisation sees the whole batch, and
chance is drawn for the whole batch before each process takes its part. In a single process everything here is free.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as collective
from torch import Tensor, nn

T = TypeVar("T")


@contextmanager
def processes(device: torch.device) -> Iterator[None]:
    """Join the processes that `torchrun` started; outside of it, and in one process, do nothing."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def count() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is; 0 is the one that writes."""
    return dist.get_rank() if dist.is_initialized() else 0


def own_share(items: Sequence[T]) -> Sequence[T]:
    """This process's part of what the whole batch is made of.

    Raises:
        ValueError: If it cannot be shared evenly.
    """
    if len(items) % count():
        raise ValueError(
            f"a batch of {len(items)} windows cannot be shared by {count()} processes; use a multiple of {count()}"
        )
    size = len(items) // count()
    return items[rank() * size : (rank() + 1) * size]


def drawn(sampler: torch.Generator, shape: Sequence[int], *, normal: bool) -> Tensor:
    """Draw numbers for the whole batch, and return this process's.

    Args:
        sampler: In the same state in every process.
        shape: Of this process's numbers; the batch comes first.
        normal: Standard normal; else even in [0, 1).
    """
    whole = (shape[0] * count(), *shape[1:])
    numbers = torch.randn(whole, generator=sampler) if normal else torch.rand(whole, generator=sampler)
    return numbers[rank() * shape[0] : (rank() + 1) * shape[0]]


def mean_over_processes(total: Tensor) -> Tensor:
    """The mean of a number that has no gradient over the processes; the number itself in a single one."""
    if count() == 1:
        return total
    summed = total.detach().clone()
    dist.all_reduce(summed)
    return summed / count()


def average_gradients(module: nn.Module) -> None:
    """Give every process the mean of all processes' gradients."""
    if count() == 1:
        return
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= count()
    for gradient, part in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def same_weights(module: nn.Module) -> None:
    """Give every process the first one's weights and buffers."""
    if count() > 1:
        for tensor in module.state_dict().values():
            dist.broadcast(tensor, 0)


@contextmanager
def whole_batch_normalised(module: nn.Module) -> Iterator[None]:
    """Let batch normalisations of a module take their statistics over all processes while the block runs."""
    if count() == 1:
        yield
        return
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        norm.forward = _WholeBatch(norm)  # type: ignore[assignment]
    try:
        yield
    finally:
        for norm in norms:
            del norm.forward


class _WholeBatch:
    """The forward pass of a batch normalisation over the parts of a batch that lie in several processes.

    Args:
        norm: Whose weights and statistics are used.
    """

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        self._norm = norm

    def __call__(self, inputs: Tensor) -> Tensor:
        norm = self._norm
        if not norm.training:
            return nn.BatchNorm2d.forward(norm, inputs)
        axes = (0, 2, 3)
        elements = float(inputs.shape[0] * inputs.shape[2] * inputs.shape[3] * count())
        mean = collective.all_reduce(inputs.sum(dim=axes)) / elements
        centred = inputs - mean[:, None, None]
        variance = collective.all_reduce(centred.square().sum(dim=axes)) / elements
        if norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(1)
            momentum = norm.momentum if norm.momentum is not None else 1.0 / float(norm.num_batches_tracked)
            norm.running_mean.lerp_(mean.detach(), momentum)
            norm.running_var.lerp_(variance.detach() * (elements / (elements - 1.0)), momentum)
        normal = centred * (variance + norm.eps).rsqrt()[:, None, None]
        return normal * norm.weight[:, None, None] + norm.bias[:, None, None]

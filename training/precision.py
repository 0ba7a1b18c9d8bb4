"""Mixed precision: the convolutions of trunk and decoder in bfloat16, all geometry in float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn

# Everything else projects, triangulates or attends over points, where eight bits of mantissa are centimetres.
_HALVED: Final = ("backbone", "decoder")


@contextmanager
def halved_convolutions(module: nn.Module, device: torch.device, *, wanted: bool) -> Iterator[None]:
    """Run the trunk and the decoder of a method in bfloat16 while the block runs; they answer in float32.

    Args:
        module: A method's; its submodules `backbone` and `decoder` are meant, where it has them.
        device: Where it is.
        wanted: Off: nothing is done.
    """
    with ExitStack() as stack:
        for name, part in module.named_children():
            if wanted and name in _HALVED:
                cast = torch.autocast(device.type, dtype=torch.bfloat16)
                before = part.register_forward_pre_hook(lambda *_, cast=cast: _enter(cast))
                after = part.register_forward_hook(lambda _, __, answer, cast=cast: _leave(cast, answer))
                stack.callback(before.remove)
                stack.callback(after.remove)
        yield


def _enter(cast: torch.autocast) -> None:
    cast.__enter__()


def _leave(cast: torch.autocast, answer: Any) -> Any:
    cast.__exit__(None, None, None)
    if isinstance(answer, Tensor):
        return answer.float()
    return tuple(level.float() for level in answer)

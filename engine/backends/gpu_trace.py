"""A step of a network as one flat graph of operators, rewritten for a GPU.

Launching a kernel costs more there than most of this network's operators compute. So what does not depend on the inputs
is computed once; products of tiny matrices become multiplications and sums, which a compiler joins with what is around
them, and which are exact in float32 whatever precision products of matrices have; a convolution takes its ReLU along.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx

from engine.backends.base import READ_OUTPUTS
from engine.backends.gpu_convolution import CONVOLUTION_ADD_RELU
from engine.backends.gpu_maps import sample_with_heatmaps
from engine.network.network import UstHandNetwork

Step: TypeAlias = Callable[..., tuple[Tensor, ...]]
"""Crops, projections, mask, noise, state and its validity to `READ_OUTPUTS`, as tensors."""

_ATEN: Final = torch.ops.aten
# Sums over so many products are a few instructions.
_SHORT_SUM: Final = 24
# So few columns, or rows, leave a kernel for products of matrices idle.
_FEW_COLUMNS: Final = 4
_FEW_ROWS: Final = 2
# Without a compiler the products are written out: no more than so many.
_MOST_PRODUCTS: Final = 4_000_000


def trace_step(network: UstHandNetwork, inputs: Sequence[Tensor], *, fused_convolutions: bool) -> fx.GraphModule:
    """Trace a network's step for the shapes and the device of some inputs.

    Args:
        network: Made by `engine.backends.gpu_network.for_gpu`, on their device.
        inputs: Those of the step, in their order.
        fused_convolutions: Whether convolutions take their ReLU along.

    Returns:
        The step for those shapes.
    """

    def step(*tensors: Tensor) -> tuple[Tensor, ...]:
        answer = network.step(*tensors)
        return tuple(getattr(answer, name).contiguous() for name in READ_OUTPUTS)

    table: dict[Any, Callable[..., Any]] = {
        _ATEN.mm.default: _product,
        _ATEN.bmm.default: _product,
        _ATEN.addmm.default: _affine,
    }
    with torch.no_grad():
        module = make_fx(step, decomposition_table=table)(*inputs)
        _fold_constants(module)
    sample_with_heatmaps(module)
    if fused_convolutions:
        _fuse_convolutions(module)
    module.graph.eliminate_dead_code()
    module.recompile()
    return module


def _is_small(left: Tensor, right: Tensor) -> bool:
    """Whether a product of matrices is better written out."""
    rows, inner, columns = left.shape[-2], left.shape[-1], right.shape[-1]
    batch = math.prod(left.shape[:-2])
    small = inner <= _SHORT_SUM or columns <= _FEW_COLUMNS or rows <= _FEW_ROWS
    return small and left.dtype == torch.float32 and batch * rows * inner * columns <= _MOST_PRODUCTS


def _product(left: Tensor, right: Tensor) -> Any:
    if not _is_small(left, right):
        return NotImplemented
    return (left.unsqueeze(-2) * right.transpose(-1, -2).unsqueeze(-3)).sum(dim=-1)


def _affine(bias: Tensor, left: Tensor, right: Tensor, *, beta: float = 1, alpha: float = 1) -> Any:
    if not _is_small(left, right) or beta != 1 or alpha != 1:
        return NotImplemented
    return _product(left, right) + bias


def _fold_constants(module: fx.GraphModule) -> None:
    """Compute what depends on no input, in place."""
    graph = module.graph
    values: dict[fx.Node, Any] = {}
    for node in graph.nodes:
        if node.op == "get_attr":
            values[node] = getattr(module, str(node.target))
        elif node.op == "call_function" and all(used in values for used in node.all_input_nodes):
            args, kwargs = fx.map_arg((node.args, node.kwargs), values.__getitem__)
            values[node] = node.target(*args, **kwargs)
    for number, (node, value) in enumerate(values.items()):
        # One that only makes other constants goes with them.
        if node.op == "get_attr" or all(user in values for user in node.users) or not isinstance(value, Tensor):
            continue
        name = f"constant_{number}"
        module.register_buffer(name, value.detach(), persistent=False)
        with graph.inserting_before(node):
            constant = graph.get_attr(name)
        constant.meta = node.meta
        node.replace_all_uses_with(constant)
    # Nothing reads them any more. Some write into others: a compiler would keep those.
    for node in reversed(values):
        if not node.users:
            graph.erase_node(node)


def _fuse_convolutions(module: fx.GraphModule) -> None:
    """Join convolutions with the ReLU that follows, and with the sum between them, in place."""
    graph = module.graph
    for relu in graph.find_nodes(op="call_function", target=_ATEN.relu.default):
        (before,) = relu.all_input_nodes
        added = None
        convolution = before
        if before.target is _ATEN.add.Tensor and len(before.users) == 1 and len(before.all_input_nodes) == 2:
            terms = list(before.all_input_nodes)
            convolution = next((term for term in terms if _is_lone_convolution(term)), before)
            added = terms[1 - terms.index(convolution)] if convolution is not before else None
        if not _is_lone_convolution(convolution):
            continue
        images, weight, bias, stride, padding, dilation, transposed, _, groups = convolution.args
        if transposed:
            continue
        with graph.inserting_before(relu):
            summand = _zeros(module, convolution) if added is None else added
            arguments = (images, weight, bias, summand, stride, padding, dilation, groups)
            fused = graph.call_function(CONVOLUTION_ADD_RELU, arguments)
        fused.meta = relu.meta
        relu.replace_all_uses_with(fused)
        graph.erase_node(relu)
        if added is not None:
            graph.erase_node(before)
        graph.erase_node(convolution)


def _zeros(module: fx.GraphModule, like: fx.Node) -> fx.Node:
    """A constant of zeros, of the shape and layout of a node's value; nodes of one shape share it."""
    value = like.meta["val"]
    name = f"zeros_{'_'.join(str(size) for size in value.shape)}_{str(value.dtype).removeprefix('torch.')}"
    if not hasattr(module, name):
        zeros = torch.zeros(value.shape, dtype=value.dtype, device=value.device)
        module.register_buffer(name, zeros.to(memory_format=torch.channels_last), persistent=False)
    constant = module.graph.get_attr(name)
    constant.meta = {"val": getattr(module, name)}
    return constant


def _is_lone_convolution(node: fx.Node) -> bool:
    """Whether a node is a convolution that only one other reads."""
    return node.target is _ATEN.convolution.default and len(node.users) == 1

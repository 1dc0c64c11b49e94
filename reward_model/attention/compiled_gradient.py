"""Calls the compiled CPU kernel of attention's gradients: `kernels/tree_gradient.c`.

An optimisation of training on a CPU. The forward pass is that of `compiled`; the backward pass
computes the softmax weights again instead of keeping them, and needs no mask either. Where it is
not compiled, training attends by `sdpa`.
"""

import ctypes
import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from reward_model.attention.compiled import (
    MAX_WIDTH,
    NO_WINDOW,
    HeadRows,
    TreeKernel,
    TreeMask,
    compiled_libraries,
    tree_kernel,
)
from reward_model.attention.sdpa import AttentionParams

_log = logging.getLogger(__name__)


class _GradientCall(ctypes.Structure):
    """C's `struct call`; the order and the types of its fields must be the same there."""

    _fields_ = (
        *((name, HeadRows) for name in ("query", "output_gradient", "query_gradient")),
        *((name, HeadRows) for name in ("key", "value", "key_gradient", "value_gradient")),
        *(
            (name, ctypes.c_void_p)
            for name in ("kept_exponent", "kept_inverse_sum", "expected", "end", "position")
        ),
        *(
            (name, ctypes.c_int64)
            for name in ("tokens", "heads", "key_heads", "width", "next_unit")
        ),
        ("window", ctypes.c_int32),
        ("factor", ctypes.c_float),
        ("cap", ctypes.c_float),
    )


class GradientKernel:
    """A compiled kernel of the backward pass, which runs on torch's own threads.

    Raises:
        OSError: the library cannot be loaded.
        AttributeError: it, or the process, lacks a function.
    """

    def __init__(self, library: Path) -> None:
        self._differentiate: Callable[..., None] = ctypes.CDLL(str(library)).differentiate_tree
        # A thread pool of the kernel's own would compete with torch's for the same cores.
        self._run = ctypes.cast(ctypes.CDLL(None).GOMP_parallel, ctypes.c_void_p)

    def gradients(
        self,
        inputs: tuple[Tensor, Tensor, Tensor],
        output: Tensor,
        kept: Tensor,
        gradient: Tensor,
        mask: TreeMask,
        params: AttentionParams,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of query, key and value by that of the output, all in float32.

        Args:
            inputs: query [1, H, T, D], key and value [1, Hkv, T, D], as the forward pass had them.
            output: what it gave, [1, H, T, D].
            kept: what it kept of each softmax, [2, H, T].
            gradient: of the output, [1, H, T, D].
        """
        query, key, _ = inputs
        _, heads, tokens, width = query.shape
        # The kernel checks no bounds: a wrong shape would read or write memory of someone else.
        assert query.shape == output.shape == gradient.shape
        assert all(part.shape == (1, key.shape[1], tokens, width) for part in inputs[1:])
        assert query.shape[0] == 1
        assert heads % key.shape[1] == 0
        assert width <= MAX_WIDTH
        assert kept.shape == (2, heads, tokens)
        assert kept.is_contiguous()
        assert kept.dtype == torch.float32
        # Each token is a query, in the tree's order.
        assert torch.equal(mask.token, torch.arange(tokens, dtype=torch.int32))
        assert len(mask.end) == len(mask.position) == tokens
        # It takes any stride between heads and tokens, but none inside a row.
        read = [
            part if part.stride(3) == 1 else part.contiguous()
            for part in (query, gradient, *inputs[1:])
        ]
        expected = (gradient[0] * output[0]).sum(-1).contiguous()
        # Token-major, as the layers' own products are.
        written = [
            torch.empty(tokens, part.shape[1], width).transpose(0, 1)[None] for part in inputs
        ]
        call = _GradientCall(
            *(HeadRows.of(part[0]) for part in (read[0], read[1], written[0])),
            *(HeadRows.of(part[0]) for part in (read[2], read[3], written[1], written[2])),
            *(part.data_ptr() for part in (*kept, expected, mask.end, mask.position)),
            *(tokens, heads, key.shape[1], width, 0),
            NO_WINDOW if params.window is None else params.window,
            width**-0.5 if params.scale is None else params.scale,
            params.softcap or 0.0,
        )
        self._differentiate(ctypes.byref(call), self._run, torch.get_num_threads())
        return written[0], written[1], written[2]


class TrainingKernels(NamedTuple):
    """The two passes of differentiable attention over a tree on a CPU."""

    forward: TreeKernel
    backward: GradientKernel

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, mask: TreeMask, params: AttentionParams
    ) -> Tensor:
        """Query [1, H, T, D], key and value [1, Hkv, T, D], float32 -> [1, H, T, D]."""
        output = _Attention.apply(  # type: ignore[no-untyped-call]
            query, key, value, self, mask, params
        )
        assert isinstance(output, Tensor)
        return output


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        kernels: TrainingKernels,
        mask: TreeMask,
        params: AttentionParams,
    ) -> Tensor:
        kept = query.new_empty(2, query.shape[1], query.shape[2], dtype=torch.float32)
        output = kernels.forward.attend(query, key, value, mask, params, kept)
        ctx.save_for_backward(query, key, value, output, kept)
        ctx.call = (kernels, mask, params)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, output, kept = ctx.saved_tensors
        kernels, mask, params = ctx.call
        found = kernels.backward.gradients(
            (query, key, value), output, kept, gradient, mask, params
        )
        return (*found, None, None, None)


@cache
def training_kernels() -> TrainingKernels | None:
    """The fastest kernels that are compiled for this processor; None, with a warning, without."""
    forward = tree_kernel()
    if forward is None:
        return None
    for library in compiled_libraries("tree_gradient.c"):
        try:
            return TrainingKernels(forward, GradientKernel(library))
        except (OSError, AttributeError) as error:
            _log.warning("%s cannot be used: %s", library.name, error)
    _log.warning(
        "training attends by torch's kernels, which are slower: the kernel of its gradients is "
        "not compiled for this processor. Run scripts/build-kernels, which needs a C compiler"
    )
    return None

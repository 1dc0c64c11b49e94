"""Calls the compiled CPU kernel of attention over a packed tree: `kernels/tree_attention.c`.

An optimisation on a CPU, of inference and of training's forward pass. The kernel derives every mask
from the tree itself, so no mask is stored, nothing is gathered and no partial softmaxes are merged.
`scripts/build-kernels` compiles it; where it is not compiled, or this processor lacks the
instructions that it was compiled for, attention runs on torch's kernels.
"""

import ctypes
import logging
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from reward_model.attention.sdpa import AttentionParams
from reward_model.compiled_files import compiled_files
from reward_model.packing import Packed

_log = logging.getLogger(__name__)

_FOLDER = Path(__file__).with_name("kernels")

# Compiled variants by the processor's capability as torch names it, the fastest first.
_LEVELS = {"AVX512": ("x86-64-v4", "x86-64-v3"), "AVX2": ("x86-64-v3",)}

# Keys in a block; as `BLOCK` in the C source.
_BLOCK = 64

# Widths of a head, in floats, that the C source is written for.
MAX_WIDTH = 256
_WIDTHS = range(16, MAX_WIDTH + 1, 8)

NO_WINDOW = 2**31 - 1
"""How the C sources read that a layer has no sliding window."""


class HeadRows(ctypes.Structure):
    """C's `struct rows`: a float32 array [heads, tokens, width] with strides counted in floats."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("by_head", ctypes.c_int64),
        ("by_token", ctypes.c_int64),
    )

    @classmethod
    def of(cls, heads: Tensor) -> Self:
        assert heads.dtype == torch.float32
        assert heads.stride(2) == 1
        return cls(heads.data_ptr(), heads.stride(0), heads.stride(1))


class _KernelCall(ctypes.Structure):
    """C's `struct call`; the order and the types of its fields must be the same there."""

    _fields_ = (
        *((name, HeadRows) for name in ("query", "key", "value", "output")),
        *(
            (name, ctypes.c_void_p)
            for name in ("token", "end", "position", "first_end", "last_end")
        ),
        *(
            (name, ctypes.c_int64)
            for name in ("queries", "heads", "key_heads", "width", "next_unit")
        ),
        ("window", ctypes.c_int32),
        ("scale", ctypes.c_float),
        ("cap", ctypes.c_float),
        ("kept_exponent", ctypes.c_void_p),
        ("kept_inverse_sum", ctypes.c_void_p),
    )


@dataclass(frozen=True, slots=True)
class TreeMask:
    """The visibility rule of a packed batch of T tokens, as the kernel reads it; all int32.

    Attributes:
        token: [Q] flat indices of the queries; all T tokens unless `for_tokens` chose some.
        position: [T]
        end: [T] where each token's subtree ends.
        first_end: [blocks] the smallest `end` of each block of `_BLOCK` keys.
        last_end: [blocks] the largest, so that the kernel can skip blocks that no query sees.
    """

    token: Tensor
    position: Tensor
    end: Tensor
    first_end: Tensor
    last_end: Tensor

    @classmethod
    def of(cls, packed: Packed) -> Self:
        length = len(packed.ids)
        end = torch.tensor(packed.subtree_end, dtype=torch.int32)
        blocks = pad(end, (0, -length % _BLOCK), value=length).view(-1, _BLOCK)
        return cls(
            torch.arange(length, dtype=torch.int32),
            torch.tensor(packed.positions, dtype=torch.int32),
            end,
            blocks.amin(1),
            blocks.amax(1),
        )

    def for_tokens(self, token: Tensor) -> Self:
        """The same tree with these queries only, in any order, repetitions included."""
        return replace(self, token=token.int().contiguous())


class TreeKernel:
    """A compiled kernel, which runs on torch's own threads.

    Raises:
        OSError: the library cannot be loaded.
        AttributeError: it, or the process, lacks a function.
    """

    def __init__(self, library: Path) -> None:
        self._attend: Callable[..., None] = ctypes.CDLL(str(library)).attend_to_tree
        # A thread pool of the kernel's own would compete with torch's for the same cores.
        run = ctypes.CDLL(None).GOMP_parallel
        self._run = ctypes.cast(run, ctypes.c_void_p)

    def takes(self, query: Tensor) -> bool:
        """Whether the kernel can read this tensor and is written for heads of its width."""
        return query.device.type == "cpu" and query.shape[-1] in _WIDTHS

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: TreeMask,
        params: AttentionParams,
        kept: Tensor | None = None,
    ) -> Tensor:
        """Attention of the Q queries that `mask` names, computed in float32.

        Query [1, H, Q, D], key and value [1, Hkv, T, D], H a multiple of Hkv -> [1, H, Q, D] in
        the dtype of the query. `kept` [2, H, Q] is filled with what the gradients need of each
        softmax: weights were divided by 2 to the first number, and the second is 1 / their sum.
        """
        _, heads, queries, width = query.shape
        key_heads = key.shape[1]
        # The kernel checks no bounds: a wrong shape would read or write memory of someone else.
        assert self.takes(query)
        assert key.shape == value.shape == (1, key_heads, len(mask.end), width)
        assert query.shape[0] == 1
        assert queries == len(mask.token)
        assert heads % key_heads == 0
        assert kept is None or (kept.shape == (2, heads, queries) and kept.is_contiguous())
        assert kept is None or kept.dtype == torch.float32
        # The kernel takes any stride between heads and tokens, but none inside a row. `inputs`
        # also keeps converted copies alive until the call returns.
        inputs = [part[0].float() for part in (query, key, value)]
        inputs = [part if part.stride(2) == 1 else part.contiguous() for part in inputs]
        # Token-major, so that the caller's transpose to [T, H, D] needs no copy.
        output = inputs[0].new_empty(queries, heads, width).transpose(0, 1)
        call = _KernelCall(
            *map(HeadRows.of, (*inputs, output)),
            *(part.data_ptr() for part in (mask.token, mask.end, mask.position)),
            *(part.data_ptr() for part in (mask.first_end, mask.last_end)),
            *(queries, heads, key_heads, width, 0),
            NO_WINDOW if params.window is None else params.window,
            width**-0.5 if params.scale is None else params.scale,
            params.softcap or 0.0,
            *((None, None) if kept is None else (part.data_ptr() for part in kept)),
        )
        self._attend(ctypes.byref(call), self._run, torch.get_num_threads())
        return output.to(query.dtype).unsqueeze(0)


@cache
def tree_kernel() -> TreeKernel | None:
    """The fastest kernel that is compiled for this processor; None, with a warning, without one."""
    for library in compiled_libraries():
        try:
            return TreeKernel(library)
        except (OSError, AttributeError) as error:
            _log.warning("%s cannot be used: %s", library.name, error)
    _log.warning(
        "attention runs on torch's kernels, which are slower: ours is not compiled for this "
        "processor. Run scripts/build-kernels, which needs a C compiler"
    )
    return None


def compiled_libraries(source: str = "tree_attention.c") -> list[Path]:
    """Libraries that were compiled from this very source and may run here, the fastest first."""
    capability = torch.backends.cpu.get_cpu_capability()
    levels = _LEVELS.get(capability, (platform.machine(),))
    return compiled_files(_FOLDER / source, _FOLDER.glob("*.h"), levels)

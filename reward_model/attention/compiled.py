"""The compiled kernel of attention over a packed tree: `kernels/tree_attention.c`, for a CPU.

It reads who sees whom from the tree itself, so no mask is made, nothing is gathered and no part of
a softmax is joined to another. `scripts/build-kernels` compiles it; where nobody did, or this
processor lacks what it was compiled for, attention runs on torch's kernels.
"""

import ctypes
import logging
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from reward_model.attention.sdpa import AttentionParams
from reward_model.packing import Packed

_log = logging.getLogger(__name__)

_FOLDER = Path(__file__).with_name("kernels")

_LEVELS = {"AVX512": ("x86-64-v4", "x86-64-v3"), "AVX2": ("x86-64-v3",)}
"""What may run, best first, by what torch finds that the processor can do."""

_BLOCK, _WIDTHS = 64, range(16, 257, 8)
"""As in the source: keys to a block, and numbers that a head may have."""

_NO_WINDOW = 2**31 - 1


class _Rows(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("by_head", ctypes.c_int64),
        ("by_token", ctypes.c_int64),
    )

    @classmethod
    def of(cls, heads: Tensor) -> Self:
        """Of [heads, tokens, width], where rows are whole."""
        assert heads.dtype == torch.float32
        assert heads.stride(2) == 1
        return cls(heads.data_ptr(), heads.stride(0), heads.stride(1))


class _Call(ctypes.Structure):
    _fields_ = (
        *((name, _Rows) for name in ("query", "key", "value", "output")),
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
    )


@dataclass(frozen=True, slots=True)
class TreeMask:
    """Who sees whom in a packed batch of T tokens; all int32, `position` and `end` of length T.

    Attributes:
        token: those that see: all T, unless said.
        first_end, last_end: the least and the greatest end among each block's tokens.
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

    def of_tokens(self, token: Tensor) -> "TreeMask":
        """Where only these see, as often and in such an order as they are named."""
        return replace(self, token=token.int().contiguous())


class TreeKernel:
    """A compiled kernel, ready to run on the threads of torch."""

    def __init__(self, library: Path) -> None:
        """Raises OSError or AttributeError where it cannot be loaded."""
        self._attend: Callable[..., None] = ctypes.CDLL(str(library)).attend_to_tree
        # Its own pool of threads would compete with torch's for the same cores.
        run = ctypes.CDLL(None).GOMP_parallel
        self._run = ctypes.cast(run, ctypes.c_void_p)

    def takes(self, query: Tensor) -> bool:
        """Whether it is written for heads of this width, and can read them."""
        return query.device.type == "cpu" and query.shape[-1] in _WIDTHS

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, reach: TreeMask, how: AttentionParams
    ) -> Tensor:
        """Query [1, H, Q, D], key and value [1, Hkv, T, D], H a multiple of Hkv -> [1, H, Q, D].

        Q tokens see: those of `reach`. In float32, whatever the dtype of what comes in and goes
        out.
        """
        _, count, queries, width = query.shape
        key_heads = key.shape[1]
        # The kernel reads where it is told to.
        assert self.takes(query)
        assert key.shape == value.shape == (1, key_heads, len(reach.end), width)
        assert query.shape[0] == 1
        assert queries == len(reach.token)
        assert count % key_heads == 0
        heads = [_with_whole_rows(part[0].float()) for part in (query, key, value)]
        output = heads[0].new_empty(queries, count, width).transpose(0, 1)
        call = _Call(
            *map(_Rows.of, (*heads, output)),
            *(part.data_ptr() for part in (reach.token, reach.end, reach.position)),
            *(part.data_ptr() for part in (reach.first_end, reach.last_end)),
            *(queries, count, key_heads, width, 0),
            _NO_WINDOW if how.window is None else how.window,
            width**-0.5 if how.scale is None else how.scale,
            how.softcap or 0.0,
        )
        self._attend(ctypes.byref(call), self._run, torch.get_num_threads())
        return output.to(query.dtype).unsqueeze(0)


def _with_whole_rows(heads: Tensor) -> Tensor:
    return heads if heads.stride(2) == 1 else heads.contiguous()


@cache
def tree_kernel() -> TreeKernel | None:
    """The best that was compiled for this processor, and None without one."""
    for library in compiled_libraries():
        try:
            return TreeKernel(library)
        except (OSError, AttributeError) as error:
            _log.warning("%s cannot be used: %s", library.name, error)
    _log.warning(
        "attention runs on torch's kernels, which are slower: none of ours is compiled for this "
        "processor; scripts/build-kernels does that, with a C compiler"
    )
    return None


def compiled_libraries() -> list[Path]:
    """What was compiled of these very sources and may run here, best first."""
    capability = torch.backends.cpu.get_cpu_capability()
    levels = _LEVELS.get(capability, (platform.machine(),))
    sources = sorted(_FOLDER.glob("*.[ch]"))
    version = sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    libraries = (_FOLDER / f"tree_attention.{level}.{version}.so" for level in levels)
    return [library for library in libraries if library.exists()]

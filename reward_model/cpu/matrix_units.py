"""Calls the compiled kernel of float32 products on a CPU's matrix unit: `kernels/bf16x3.c`.

An optimisation. Xeons since Sapphire Rapids have such a unit, AMX; `scripts/build-kernels` compiles
the kernel. This module does not know what is multiplied.
"""

import ctypes
import logging
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from reward_model.compiled_files import compiled_files

_log = logging.getLogger(__name__)

Epilogue = Literal["nothing", "silu", "add", "multiply"]
"""A step that ends a product: the last two kinds take another matrix of the same shape."""

_SOURCE = Path(__file__).parent / "kernels" / "bf16x3.c"
_HEADERS = (
    Path(__file__).parent / "kernels" / "tiles.h",
    Path(__file__).parents[1] / "attention" / "kernels" / "vectors.h",
)

# As in the C source: its enumeration, rows of a panel or columns of a strip, bytes of one step of
# either, and how many panels a unit of work has at most.
_EPILOGUES: tuple[Epilogue, ...] = ("nothing", "silu", "add", "multiply")
_SIDE, _STEP_BYTES, _MAX_PANELS = 32, 4096, 4

# A thread's packed rows should stay in half of a 2 MiB cache, beside a strip of the weight.
_MAX_BLOCK_BYTES = 1 << 20

# Units of work for each thread, so that none waits long for the last one.
_UNITS_PER_THREAD = 4

# Splitting rows costs as much as multiplying them with this many strips takes, at most.
_MIN_STRIPS = 4

# The largest entry of a weight: larger ones could round to infinity.
_MAX_WEIGHT = 1e38


class MatrixUnitsUnavailable(Exception):
    """Products cannot run on matrix units here; the message says why."""


class _Packing(ctypes.Structure):
    """C's `struct packing`; the order and the types of its fields must be the same there."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("weight", "packed")),
        *((name, ctypes.c_int64) for name in ("columns", "inner", "next_strip")),
    )


class _Product(ctypes.Structure):
    """C's `struct product`; the order and the types of its fields must be the same there."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("rows", "weight", "bias", "other")),
        *((name, ctypes.c_void_p) for name in ("output", "scratch")),
        *((name, ctypes.c_int64) for name in ("by_row", "other_by_row")),
        *((name, ctypes.c_int64) for name in ("count", "inner", "columns")),
        *((name, ctypes.c_int64) for name in ("panels_in_unit", "strips_in_unit", "epilogue")),
        *((name, ctypes.c_int64) for name in ("next_unit", "next_block")),
    )


class Bf16x3Kernel:
    """The compiled kernel, which runs on torch's own threads.

    A result depends on its own row and column alone, bit for bit: neither on other rows nor on the
    number of threads.

    Raises:
        MatrixUnitsUnavailable: the library cannot be loaded, or the system keeps the units.
    """

    def __init__(self, library: Path) -> None:
        try:
            functions = ctypes.CDLL(str(library))
            self._multiply: Callable[..., None] = functions.multiply_rows
            self._pack: Callable[..., None] = functions.pack_weight
            # A thread pool of the kernel's own would compete with torch's for the same cores.
            run = ctypes.CDLL(None).GOMP_parallel
        except (OSError, AttributeError) as error:
            raise MatrixUnitsUnavailable(f"{library.name} cannot be used: {error}") from error
        self._run = ctypes.cast(run, ctypes.c_void_p)
        if refusal := functions.request_tiles():
            raise MatrixUnitsUnavailable(
                f"the system does not let this process use AMX: {os.strerror(refusal)}"
            )

    def pack(self, weight: Tensor) -> Tensor:
        """Split and pack a float32 weight [columns, inner]; the result is as large.

        Raises:
            ValueError: an entry is NaN, infinite or near the limit of float32.
        """
        lowest, highest = map(float, weight.aminmax())
        if not -_MAX_WEIGHT < lowest <= highest < _MAX_WEIGHT:
            raise ValueError("a weight has an entry that bfloat16 cannot hold")
        weight = weight.detach().float().contiguous()
        columns, inner = weight.shape
        strips, steps = -(-columns // _SIDE), -(-inner // _SIDE)
        packed = torch.empty(strips, steps, _STEP_BYTES, dtype=torch.uint8)
        packing = _Packing(weight.data_ptr(), packed.data_ptr(), columns, inner, 0)
        self._pack(ctypes.byref(packing), self._run, ctypes.c_uint(torch.get_num_threads()))
        return packed

    def multiply(
        self,
        rows: Tensor,
        packed: Tensor,
        columns: int,
        bias: Tensor | None,
        epilogue: Epilogue = "nothing",
        other: Tensor | None = None,
    ) -> Tensor:
        """Rows [N, inner] times a packed weight [columns, inner], transposed -> [N, columns]."""
        rows = rows if rows.stride(1) == 1 else rows.contiguous()
        other = other if other is None or other.stride(1) == 1 else other.contiguous()
        count, inner = rows.shape
        output = rows.new_empty(count, columns)
        # The kernel checks no bounds: a wrong shape would read or write memory of someone else.
        assert rows.dtype == torch.float32
        assert rows.device.type == "cpu"
        assert packed.shape == (-(-columns // _SIDE), -(-inner // _SIDE), _STEP_BYTES)
        assert bias is None or (bias.shape == (columns,) and bias.stride(0) == 1)
        assert (other is None) == (epilogue in ("nothing", "silu"))
        assert other is None or (other.shape == output.shape and other.dtype == rows.dtype)
        if not count:
            return output
        threads = torch.get_num_threads()
        panels, strips = _unit_of_work(-(-count // _SIDE), *packed.shape[:2], threads)
        scratch = torch.empty(threads, panels, *packed.shape[1:], dtype=torch.uint8)
        product = _Product(
            *(rows.data_ptr(), packed.data_ptr()),
            *(None if part is None else part.data_ptr() for part in (bias, other)),
            *(output.data_ptr(), scratch.data_ptr()),
            *(rows.stride(0), 0 if other is None else other.stride(0), count, inner, columns),
            *(panels, strips, _EPILOGUES.index(epilogue), 0, 0),
        )
        self._multiply(ctypes.byref(product), self._run, ctypes.c_uint(threads))
        return output


def _unit_of_work(panels: int, strips: int, steps: int, threads: int) -> tuple[int, int]:
    """How many panels and strips of a product a unit of work has. No result depends on it.

    Many panels read a strip of the weight once; few leave every thread something to do.
    """
    in_cache = _MAX_BLOCK_BYTES // (steps * _STEP_BYTES)
    shared = panels // (_UNITS_PER_THREAD * threads)
    in_unit = max(1, min(_MAX_PANELS, in_cache, shared))
    across = min(_UNITS_PER_THREAD * threads // -(-panels // in_unit), strips // _MIN_STRIPS)
    return in_unit, -(-strips // max(1, across))


@cache
def bf16x3_kernel() -> Bf16x3Kernel:
    """The kernel, if this processor, its system and the build let it run.

    Raises:
        MatrixUnitsUnavailable: they do not.
    """
    if not {"amx_tile", "amx_bf16", "avx512f"} <= _processor_flags():
        raise MatrixUnitsUnavailable("this processor has no AMX")
    try:
        libraries = compiled_libraries()
        if not libraries:
            raise MatrixUnitsUnavailable(
                "the kernel is not compiled: run scripts/build-kernels, which needs a C compiler"
            )
        return Bf16x3Kernel(libraries[0])
    except MatrixUnitsUnavailable as error:
        _log.warning("this processor has AMX, which cannot be used: %s", error)
        raise


def compiled_libraries() -> list[Path]:
    """The library that was compiled from these very sources, if it was."""
    return compiled_files(_SOURCE, _HEADERS, ["amx"])


def _processor_flags() -> set[str]:
    """Linux's names of what the processor can do and the system supports; empty elsewhere."""
    try:
        return set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return set()

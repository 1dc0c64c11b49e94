"""The kernel of bf16x3 products, with the matrix unit's operations emulated in C.

Everything but the instructions runs as shipped; `test_amx_instructions` runs those as well.
"""

import errno
import os
from pathlib import Path
from typing import get_args

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from reward_model.cpu import matrix_units as module
from reward_model.cpu.matrix_units import Epilogue, MatrixUnitsUnavailable, bf16x3_kernel
from tests.reward_model.cpu.emulation import emulated_kernel, needs_compiler

pytestmark = needs_compiler

# Left out of every product is at most 2^-16 of it; rounding both second parts adds as much each.
_LEFT_OUT = 3 * 2.0**-16

sizes = st.tuples(st.integers(1, 70), st.integers(1, 100), st.integers(1, 70))


def random_product(sizes: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """Rows and a weight."""
    torch.manual_seed(sum(sizes))
    count, inner, columns = sizes
    return torch.randn(count, inner), torch.randn(columns, inner)


def multiplied(rows: Tensor, weight: Tensor) -> Tensor:
    kernel = emulated_kernel()
    return kernel.multiply(rows, kernel.pack(weight), len(weight), None)


@settings(deadline=None, max_examples=25)
@given(sizes, st.integers(-30, 30), st.integers(-30, 30))
def test_errors_stay_within_what_is_left_out(
    sizes: tuple[int, int, int], rows_exponent: int, weight_exponent: int
) -> None:
    """Whatever the shape is, also no multiple of a tile, and however large numbers are."""
    rows, weight = random_product(sizes)
    rows, weight = rows * 2.0**rows_exponent, weight * 2.0**weight_exponent
    exact = rows.double() @ weight.double().T
    terms = rows.abs().double() @ weight.abs().double().T
    # A sum of n terms in float32 errs by n roundings at most; there are three for every product.
    bound = terms * (_LEFT_OUT + 3 * sizes[1] * 2.0**-24)
    assert ((multiplied(rows, weight) - exact).abs() <= bound).all()


def test_errors_are_near_those_of_float32_and_far_from_those_of_bfloat16() -> None:
    rows, weight = random_product((64, 576, 96))
    exact = rows.double() @ weight.double().T

    def error(product: Tensor) -> float:
        return float((product - exact).abs().max() / exact.std())

    single = nn.functional.linear(rows.bfloat16().float(), weight.bfloat16().float())
    assert error(multiplied(rows, weight)) < 4e-5
    assert error(single) > 4e-3


@settings(deadline=None, max_examples=20)
@given(sizes, st.sampled_from(get_args(Epilogue)), st.booleans())
def test_what_follows_a_product_is_done_with_it(
    sizes: tuple[int, int, int], epilogue: Epilogue, has_bias: bool
) -> None:
    rows, weight = random_product(sizes)
    kernel, count, columns = emulated_kernel(), len(rows), len(weight)
    # Views whose rows lie apart, as a layer's chunks do.
    rows, other = torch.cat([rows, rows], 1)[:, : sizes[1]], torch.randn(count, columns + 3)[:, 3:]
    bias = torch.randn(columns) if has_bias else None
    product = nn.functional.linear(rows, weight, bias)
    expected = {
        "nothing": product,
        "silu": nn.functional.silu(product),
        "add": product + other,
        "multiply": product * other,
    }[epilogue]
    given = other if epilogue in ("add", "multiply") else None
    result = kernel.multiply(rows, kernel.pack(weight), columns, bias, epilogue, given)
    torch.testing.assert_close(result, expected, atol=1e-3, rtol=1e-4)


@settings(deadline=None, max_examples=12)
@given(st.integers(1, 100), st.data())
def test_a_row_s_bits_depend_neither_on_other_rows_nor_on_threads(
    count: int, data: st.DataObject
) -> None:
    rows, weight = random_product((count, 70, 170))
    whole = multiplied(rows, weight)
    first = data.draw(st.integers(0, count - 1))
    last = data.draw(st.integers(first + 1, count))
    assert torch.equal(multiplied(rows[first:last], weight), whole[first:last])
    threads = torch.get_num_threads()
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            assert torch.equal(multiplied(rows, weight), whole)
    finally:
        torch.set_num_threads(threads)


odd_numbers = st.sampled_from(
    [
        *(float("nan"), float("inf"), -float("inf"), 3.4e38, -3.4e38, 1e-40),
        # NaN whose lowest or highest bits alone say so: rounding could make a number of it.
        *torch.tensor([0x7F800001, 0x7FFFFFFF], dtype=torch.int32).view(torch.float32),
    ]
)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 39), st.integers(0, 49), odd_numbers)
def test_nan_and_inf_are_what_float32_makes_of_them_and_stay_in_their_row(
    row: int, element: int, odd: float | Tensor
) -> None:
    rows, weight = random_product((40, 50, 35))
    # Zeros and ones: infinity makes NaN of the first, and its sign is known for the others.
    weight[:5], weight[5:10] = 0, 1
    clean = multiplied(rows, weight)
    rows[row, element] = odd
    result, expected = multiplied(rows, weight), nn.functional.linear(rows, weight)
    others = torch.arange(40) != row
    assert torch.equal(result[others], clean[others])
    assert torch.equal(result[row].isnan(), expected[row].isnan())
    # Where sums of huge numbers overflow, the order of summation decides; nothing else may differ.
    finite = expected[row].isfinite()
    assert torch.equal(result[row][~finite].isfinite(), expected[row][~finite].isfinite())
    torch.testing.assert_close(result[row][finite], expected[row][finite], atol=1e-3, rtol=1e-4)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 70), st.integers(1, 100))
def test_a_packed_weight_is_the_weight_to_sixteen_bits(columns: int, inner: int) -> None:
    """Rows of the identity read it back."""
    weight = random_product((1, inner, columns))[1]
    back = multiplied(torch.eye(inner), weight).T
    torch.testing.assert_close(back, weight, atol=0, rtol=2.0**-16)
    first = weight.bfloat16().float()
    assert torch.equal(multiplied(torch.eye(inner), first).T, first)


def test_products_with_denormal_numbers_are_zero_at_worst() -> None:
    """The unit reads and writes them as 0."""
    rows, weight = torch.full((1, 1), 1e-30), torch.full((1, 1), 1e-9)
    assert multiplied(rows, weight).item() == 0
    assert multiplied(torch.full((1, 1), 1e-39), torch.ones(1, 1)).item() == 0


def test_no_rows_are_no_results() -> None:
    assert multiplied(torch.empty(0, 8), torch.randn(5, 8)).shape == (0, 5)


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), 3.4e38])
def test_a_weight_that_cannot_be_split_is_refused(odd: float) -> None:
    weight = torch.ones(3, 3)
    weight[1, 1] = odd
    with pytest.raises(ValueError, match="bfloat16"):
        emulated_kernel().pack(weight)


@given(st.integers(1, 300), st.integers(1, 400), st.integers(1, 400), st.integers(1, 64))
def test_units_of_work_fit_the_scratch_memory(
    panels: int, strips: int, steps: int, threads: int
) -> None:
    in_unit, strips_in_unit = module._unit_of_work(panels, strips, steps, threads)
    assert 1 <= in_unit <= module._MAX_PANELS
    assert 1 <= strips_in_unit <= strips
    assume(panels >= 4 * threads)
    assert strips_in_unit == strips


def test_a_processor_without_the_unit_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_processor_flags", lambda: {"avx512f"})
    with pytest.raises(MatrixUnitsUnavailable, match="no AMX"):
        bf16x3_kernel.__wrapped__()


def test_a_kernel_that_is_not_compiled_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "bf16x3.c").write_text("another one")
    monkeypatch.setattr(module, "_processor_flags", lambda: {"amx_tile", "amx_bf16", "avx512f"})
    monkeypatch.setattr(module, "_SOURCE", tmp_path / "bf16x3.c")
    with pytest.raises(MatrixUnitsUnavailable, match="scripts/build-kernels"):
        bf16x3_kernel.__wrapped__()
    assert "has AMX" in caplog.text
    (tmp_path / "no-library.so").write_text("none")
    with pytest.raises(MatrixUnitsUnavailable, match=r"no-library\.so cannot be used"):
        module.Bf16x3Kernel(tmp_path / "no-library.so")


def test_a_system_that_keeps_the_unit_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As this one does, where the processor has none, or as a container's policy might."""
    libraries = module.compiled_libraries()
    if not libraries or "amx_tile" in module._processor_flags():
        pytest.skip("the kernel is not compiled here, or this processor has AMX")
    with pytest.raises(MatrixUnitsUnavailable) as caught:
        module.Bf16x3Kernel(libraries[0])
    assert any(os.strerror(code) in str(caught.value) for code in errno.errorcode)

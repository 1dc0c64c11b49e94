from itertools import count

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from reward_model.cpu import onednn_linear as linear
from reward_model.cpu.onednn_linear import OneDnnLinear, padded_rows, replace_linears

needs_onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN"
)


@needs_onednn
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(48,), (0, 48), (1, 48), (3, 48), (1, 700, 48)])
def test_the_product_is_that_of_the_usual_layer(bias: bool, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    usual, rows = nn.Linear(48, 80, bias=bias), torch.randn(shape)
    with torch.inference_mode():
        assert torch.allclose(OneDnnLinear.of(usual)(rows), usual(rows), rtol=0, atol=1e-5)


@needs_onednn
@pytest.mark.parametrize("bias", [False, True])
def test_what_follows_a_product_is_done_with_it(bias: bool) -> None:
    torch.manual_seed(0)
    usual, rows, other = nn.Linear(48, 80, bias=bias), torch.randn(7, 48), torch.randn(7, 80)
    packed = OneDnnLinear.of(usual)
    with torch.inference_mode():
        product = usual(rows)
        for fused, expected in (
            (packed.silu(rows), nn.functional.silu(product)),
            (packed.combined(rows, "mul", other), product * other),
            (packed.combined(rows, "add", other), product + other),
        ):
            assert torch.allclose(fused, expected, rtol=0, atol=1e-5)


@needs_onednn
@pytest.mark.parametrize(("seconds", "replaced"), [((2.0, 1.0), True), ((1.0, 1.0), False)])
def test_layers_are_replaced_where_it_pays(
    monkeypatch: pytest.MonkeyPatch, seconds: tuple[float, float], replaced: bool
) -> None:
    turn = count()
    monkeypatch.setattr(linear, "seconds_of", lambda *_: seconds[next(turn)])
    backbone = nn.Sequential(nn.Linear(8, 16), nn.ModuleDict({"inner": nn.Linear(16, 8)}))
    rows = torch.randn(3, 8)
    with torch.inference_mode():
        before = backbone[1]["inner"](backbone[0](rows))  # type: ignore[index] # a ModuleDict
        assert replace_linears(backbone) is replaced
        after = backbone[1]["inner"](backbone[0](rows))  # type: ignore[index] # a ModuleDict
    assert isinstance(backbone[0], OneDnnLinear) is replaced
    assert torch.allclose(before, after, rtol=0, atol=1e-5)


def test_other_types_stay_as_they_are() -> None:
    assert not replace_linears(nn.Linear(8, 8, dtype=torch.bfloat16))
    assert not replace_linears(nn.Sequential(nn.Linear(8, 8, dtype=torch.bfloat16)))
    assert not replace_linears(nn.Embedding(8, 8))


@given(st.integers(1, 100_000))
def test_a_number_of_rows_is_padded_up_a_little(rows: int) -> None:
    compiled = padded_rows(rows)
    assert rows <= compiled <= max(rows + 15, rows * 17 / 16)
    assert padded_rows(compiled) == compiled


def test_few_numbers_of_rows_are_compiled_for() -> None:
    assert len({padded_rows(rows) for rows in range(1, 4097)}) == 80

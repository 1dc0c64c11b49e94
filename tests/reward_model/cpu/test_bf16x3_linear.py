"""Layers on an (emulated) matrix unit, and the trial that decides on them."""

import logging
from itertools import count
from pathlib import Path

import pytest
import torch
from torch import nn

from reward_model.cpu import bf16x3_linear as module
from reward_model.cpu.bf16x3_linear import Bf16x3Linear, unavailable, use_matrix_units
from reward_model.cpu.matrix_units import MatrixUnitsUnavailable
from reward_model.cpu.onednn_linear import OneDnnLinear, runs_on_onednn
from reward_model.network import RewardNetwork
from reward_model.packing import Sequence
from reward_model.release.release import open_release
from tests.checkpoints import make_checkpoint
from tests.reward_model.cpu.emulation import emulated_kernel, needs_compiler

pytestmark = needs_compiler

TRUNK = tuple(7 + (i * 31) % 300 for i in range(40))
BATCH = [Sequence(text, (len(text) - 1,)) for text in (TRUNK, (*TRUNK[:30], 9, 8), TRUNK[:7])]


@pytest.fixture
def fast_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine has a matrix unit, emulated, which wins every trial."""
    seconds = count(1)
    monkeypatch.setattr(module, "bf16x3_kernel", emulated_kernel)
    monkeypatch.setattr(module, "seconds_of", lambda *_: float(next(seconds)))
    # The trial's rows are only timed.
    monkeypatch.setattr(module, "_TRIAL_ROWS", 1)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(48,), (0, 48), (1, 48), (3, 48), (1, 70, 48)])
def test_the_product_is_that_of_the_usual_layer(bias: bool, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    usual, rows = nn.Linear(48, 80, bias=bias), torch.randn(shape)
    with torch.inference_mode():
        layer = Bf16x3Linear.of(emulated_kernel(), usual)
        assert torch.allclose(layer(rows), usual(rows), rtol=0, atol=5e-5)


@pytest.mark.skipif(not runs_on_onednn(torch.empty(1)), reason="this torch has no oneDNN")
def test_a_layer_of_onednn_can_be_taken_over() -> None:
    torch.manual_seed(0)
    usual, rows, other = nn.Linear(48, 80), torch.randn(7, 48), torch.randn(7, 80)
    with torch.inference_mode():
        theirs = OneDnnLinear.of(usual)
        ours = Bf16x3Linear.of(emulated_kernel(), theirs)
        for mine, expected in (
            (ours(rows), theirs(rows)),
            (ours.silu(rows), theirs.silu(rows)),
            (ours.combined(rows, "mul", other), theirs.combined(rows, "mul", other)),
            (ours.combined(rows, "add", other), theirs.combined(rows, "add", other)),
        ):
            assert torch.allclose(mine, expected, rtol=0, atol=5e-5)


@pytest.mark.parametrize("kind", ["qwen2", "gpt_neox", "bert"])
@pytest.mark.usefixtures("fast_unit")
def test_all_layers_run_on_the_unit_and_scores_are_transformers(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Fused layers, a decoder that keeps transformers' layers, and an encoder."""
    release = open_release(make_checkpoint(tmp_path / "model", kind))
    caplog.set_level(logging.INFO)
    network = RewardNetwork.load(release, device="cpu")
    assert network.plain_products_reason is None
    assert "three products of bfloat16" in caplog.text
    kinds = {type(part) for part in network.model.base_model.modules()}
    assert Bf16x3Linear in kinds
    assert not {nn.Linear, OneDnnLinear} & kinds
    off = RewardNetwork.load(release, device="cpu", matrix_units=False)
    assert off.plain_products_reason == "switched off"
    for ours, theirs in zip(network.score(BATCH), off.score(BATCH), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)
    for text, together in zip(BATCH, network.score(BATCH), strict=True):
        assert network.score([text])[0] == pytest.approx(together, abs=1e-5)


@pytest.mark.usefixtures("fast_unit")
def test_a_forward_that_would_score_otherwise_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    release = open_release(make_checkpoint(tmp_path / "model", "qwen2"))
    off = RewardNetwork.load(release, device="cpu", matrix_units=False)
    silu = Bf16x3Linear.silu
    monkeypatch.setattr(Bf16x3Linear, "silu", lambda self, rows: silu(self, rows) + 1)
    network = RewardNetwork.load(release, device="cpu")
    assert "bf16x3 and plain scores" in str(network.plain_products_reason)
    assert "bf16x3 and plain scores" in caplog.text
    assert network.score(BATCH) == off.score(BATCH)
    kinds = {type(part).__name__ for part in network.model.base_model.modules()}
    assert not {"Bf16x3Linear", "_PackedPerCall"} & kinds


@pytest.mark.parametrize("weight", [1.0, float("nan")])
def test_slower_products_and_odd_weights_are_left(
    weight: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = count(2, -1)
    monkeypatch.setattr(module, "bf16x3_kernel", emulated_kernel)
    monkeypatch.setattr(module, "seconds_of", lambda *_: float(next(seconds)))
    backbone = nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 16))
    nn.init.constant_(backbone[1].weight, weight)  # type: ignore[arg-type] # a parameter
    reason = use_matrix_units(backbone, lambda: None)
    assert ("cannot hold" if weight != weight else "2000.0 ms in place of 1000.0 ms") in str(reason)
    assert type(backbone[1]) is nn.Linear


def test_what_is_not_float32_on_a_cpu_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "bf16x3_kernel", emulated_kernel)
    assert "float32" in str(unavailable(torch.empty(1, dtype=torch.bfloat16)))
    assert "float32" in str(unavailable(torch.empty(1, device="meta")))
    assert unavailable(torch.empty(1)) is None


def test_where_there_is_no_unit_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise MatrixUnitsUnavailable("this processor has no AMX")

    monkeypatch.setattr(module, "bf16x3_kernel", missing)
    assert unavailable(torch.empty(1)) == "this processor has no AMX"

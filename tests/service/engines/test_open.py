"""Which engine is opened, and what is refused before one is."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from tests.checkpoints import make_checkpoint
from tests.service.fakes import unready


async def test_torch_uses_one_gpu(tmp_path: Path) -> None:
    path = make_checkpoint(tmp_path / "tiny")
    _, refusal = await unready(path, tensor_parallel=2)
    assert refusal == (
        "The torch engine uses one GPU, and --tensor-parallel asks for 2. Choose --engine vllm or "
        "--tensor-parallel 1."
    )


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed here")
async def test_vllm_where_it_is_not_installed(tmp_path: Path) -> None:
    path = make_checkpoint(tmp_path / "tiny")
    _, refusal = await unready(path, engine="vllm")
    assert "No module named 'vllm'" in str(refusal)
    assert "scripts/install-vllm" in str(refusal)


async def test_vllm_gets_no_checkpoint_without_its_head(tmp_path: Path) -> None:
    path = make_checkpoint(tmp_path / "tiny")
    weights = load_file(path / "model.safetensors")
    del weights["score.weight"]
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
    _, refusal = await unready(path, engine="vllm")
    assert "the weights hold no score.weight" in str(refusal)

"""Which engine is opened, and what is refused before one is."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from reward_model.release.checkpoint import load_tokenizer
from reward_model.release.release import open_release
from service.engines.engine import EngineUnavailable
from service.engines.open import open_engine
from service.settings import Settings
from tests.checkpoints import make_checkpoint
from tests.service.fakes import unready


async def test_torch_uses_one_gpu(tmp_path: Path) -> None:
    path = make_checkpoint(tmp_path / "tiny")
    _, refusal = await unready(path, tensor_parallel=2)
    assert refusal == (
        "The torch engine uses one GPU, and --tensor-parallel asks for 2. Choose --engine vllm or "
        "--tensor-parallel 1."
    )


async def test_engine_processes_need_as_many_cpus(tmp_path: Path) -> None:
    path = make_checkpoint(tmp_path / "tiny")
    _, refusal = await unready(path, engine_processes=256)
    assert "--engine-processes 256 needs 256 CPUs, and this process may use" in str(refusal)


async def test_engine_processes_are_not_for_a_machine_with_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    release = open_release(make_checkpoint(tmp_path / "tiny"))
    settings = Settings(device="auto", engine_processes=2)
    with pytest.raises(EngineUnavailable, match=r"--engine-processes is for CPUs.*--device cpu"):
        open_engine(release, load_tokenizer(release), settings)


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

from pathlib import Path

import pytest

from tests.checkpoints import make_checkpoint


@pytest.fixture(params=["qwen2", "llama"])
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return make_checkpoint(tmp_path, request.param, tie_word_embeddings=True)

"""What `publish` made, in vLLM as its own users load it: scripts/test-vllm runs this."""

import gc
from importlib.util import find_spec

import pytest

from tests.trainer.publishing.golden import RELEASE, TOLERANCE, known_scores

pytestmark = pytest.mark.skipif(
    find_spec("vllm") is None, reason="vLLM is not installed here; scripts/test-vllm runs these"
)


def test_its_defaults_give_the_raw_score(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing asks it to leave an activation out but the config of the release: a regression."""
    from vllm import LLM
    from vllm.inputs import tokens_input

    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    known = known_scores()
    model = LLM(str(RELEASE), runner="pooling", dtype="float32", enforce_eager=True)
    try:
        outputs = model.classify([tokens_input(row.ids) for row in known])
        scores = [output.outputs.probs[0] for output in outputs]
    finally:
        model.llm_engine.engine_core.shutdown()
        del model
        gc.collect()
    assert scores == pytest.approx([row.score for row in known], abs=TOLERANCE)

"""The naive server is slow, and right."""

from pathlib import Path

import pytest

from benchmarks.harness.load import replay
from benchmarks.harness.processes import running
from benchmarks.harness.servers import naive
from benchmarks.inputs.dialects import DIALECTS
from benchmarks.inputs.texts import load_renderer
from benchmarks.inputs.traces import Request
from benchmarks.serving.naive_server import BATCH
from reward_model.network import RewardNetwork
from reward_model.release.release import open_release
from tests.checkpoints import make_checkpoint


def test_a_naive_server_scores_as_we_do(tmp_path: Path) -> None:
    model = make_checkpoint(tmp_path)
    candidates = tuple("a + b " * count for count in range(1, BATCH + 3))
    texts = load_renderer(model).texts(Request("Add two numbers.", candidates))
    with running(naive(model, "cpu", "float32")) as server:
        found = replay(server.url, DIALECTS["openrlhf"], [texts, texts], at_once=2)
    network = RewardNetwork.load(open_release(model), device="cpu")
    expected = [score for (score,) in network.score(list(texts.sequences))]
    assert sorted(found.replies) == [0, 1]
    assert found.replies[1].scores == pytest.approx(expected, abs=1e-4)
    assert found.tokens == 2 * texts.tokens
    assert found.sequences == 2 * len(candidates)

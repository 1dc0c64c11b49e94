import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer.synthesis.server import FAULTS, Server, echo, serving
from trainer.pipeline.stage import StageError
from trainer.synthesis.completions import Completions, LlmConfig, complete_all
from trainer.synthesis.endpoint import EndpointConfig
from trainer.synthesis.ledger import Ledger
from trainer.synthesis.requests import Completion, Sampling

PROMPTS = [f"prompt {number}" for number in range(12)]


def config(server: Server, **changes: object) -> LlmConfig:
    endpoint = EndpointConfig(
        server.url, "coder", concurrency=4, max_retries=0, max_consecutive_failures=100
    )
    return LlmConfig(replace(endpoint, **changes), Sampling(seed=3))  # type: ignore[arg-type]


def expected(prompts: list[str], asked: LlmConfig) -> dict[str, str]:
    return {
        request.id: echo(prompt, 3 + sample)
        for prompt in prompts
        for sample, request in enumerate(asked.requests(prompt))
    }


def texts(replies: Completions) -> dict[str, str]:
    return {id_: answer.text for id_, answer in replies.completions.items()}


def kept(folder: Path) -> dict[str, Completion]:
    with Ledger(folder) as ledger:
        return ledger.completions()


@settings(max_examples=40)
@given(
    prompts=st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=12, unique=True),
    samples=st.integers(1, 2),
    plan=st.lists(st.sampled_from([None, *FAULTS]), max_size=40),
    patience=st.integers(1, 4),
)
def test_whatever_fails_no_answer_is_lost_or_doubled(
    prompts: list[str], samples: int, plan: list[str | None], patience: int
) -> None:
    """The run is repeated, as people do, until everything is answered."""
    with tempfile.TemporaryDirectory() as name, serving(plan=plan) as server:
        folder = Path(name)
        asked = config(server, max_consecutive_failures=patience)
        asked = replace(asked, sampling=replace(asked.sampling, samples=samples))
        for _ in range(100):
            try:
                replies = complete_all(prompts, asked, folder)
            except StageError:
                replies = None
            if replies and not replies.failures:
                break
        assert replies
        assert texts(replies) == expected(prompts, asked)
        assert len(kept(folder)) == len(prompts) * samples
        before = server.answered.copy()
        again = complete_all(prompts, asked, folder)
        assert server.answered == before, "what is answered is not asked again"
        assert again == replies


def test_a_failure_that_lasts_is_counted_and_left_for_the_next_run(tmp_path: Path) -> None:
    with serving(plan=[None, "400", None, "close", None, "html"]) as server:
        asked = config(server, concurrency=1)
        first = complete_all(PROMPTS[:6], asked, tmp_path)
        assert len(first.completions) == 3
        missing = [answer is None for prompt in PROMPTS[:6] for answer in first.of(prompt)]
        assert missing == [False, True] * 3
        reasons = {"malformed reply": 1, "no connection": 1, "status 400": 1}
        assert first.facts["left_for_the_next_run"] == reasons
        second = complete_all(PROMPTS[:6], asked, tmp_path)
    assert texts(second) == expected(PROMPTS[:6], asked)
    assert set(server.answered.values()) == {1}


def test_failures_in_a_row_stop_the_stage_and_keep_what_came(tmp_path: Path) -> None:
    with serving(plan=[None, "500", None, *["500"] * 20]) as server:
        asked = config(server, concurrency=1, max_consecutive_failures=3)
        with pytest.raises(StageError, match=r"3 requests .* in a row, .*status 500.*again"):
            complete_all(PROMPTS, asked, tmp_path)
    assert len(kept(tmp_path)) == 2
    assert len(server.bodies) == 6


@pytest.mark.parametrize("status", ["401", "403", "404"])
def test_a_wrong_key_or_model_stops_at_once(tmp_path: Path, status: str) -> None:
    with (
        serving(plan=[status] * 100) as server,
        pytest.raises(StageError, match=rf"planned {status}.*check the URL"),
    ):
        complete_all(PROMPTS, config(server, concurrency=1), tmp_path)
    assert len(server.bodies) == 1


def test_no_server_at_all_says_so(tmp_path: Path) -> None:
    with serving() as server:
        asked = config(server, max_consecutive_failures=3)
    with pytest.raises(StageError, match="no connection"):
        complete_all(PROMPTS, asked, tmp_path)


def test_the_order_of_answers_changes_nothing(tmp_path: Path) -> None:
    with serving() as server:
        one = complete_all(PROMPTS, config(server, concurrency=1), tmp_path / "one")
        many = complete_all(PROMPTS[::-1], config(server, concurrency=12), tmp_path / "many")
    assert one.completions == many.completions
    assert one.facts == many.facts


def test_prompts_that_are_equal_are_asked_once(tmp_path: Path) -> None:
    with serving() as server:
        complete_all(["a", "b", "a"], config(server), tmp_path)
    assert server.answered == {"a": 1, "b": 1}


def test_tokens_and_their_cost_are_summed(tmp_path: Path) -> None:
    with serving(reply=lambda prompt, seed: "one two three") as server:
        asked = config(server, prompt_price=1e6, completion_price=2e6)
        facts = complete_all(PROMPTS[:4], asked, tmp_path).facts
    usage = {"prompt_tokens": 8, "completion_tokens": 12, "cost": 8 + 2 * 12}
    assert facts["usage"] == usage


def test_the_key_comes_from_the_named_variable_and_is_kept_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as server:
        asked = config(server, key_variable="CODER_KEY")
        with pytest.raises(StageError, match=r"\$CODER_KEY, which is not set"):
            complete_all(["p"], asked, tmp_path)
        monkeypatch.setenv("CODER_KEY", "secret-1")
        complete_all(["p"], asked, tmp_path)
    assert server.keys == {"Bearer secret-1"}
    assert not any(b"secret" in file.read_bytes() for file in tmp_path.iterdir())


def test_the_url_may_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as server:
        asked = config(server, url="$CODER_URL")
        with pytest.raises(StageError, match="set that environment variable"):
            complete_all(["p"], asked, tmp_path)
        monkeypatch.setenv("CODER_URL", server.url)
        assert len(complete_all(["p"], asked, tmp_path).completions) == 1

import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer.synthesis.server import FAULTS, Server, echo, serving
from trainer.pipeline.stage import StageError
from trainer.synthesis.completions import Completions, LlmConfig, complete_all
from trainer.synthesis.endpoint import EndpointConfig
from trainer.synthesis.requests import Completion, Sampling

PROMPTS = [f"prompt {number}" for number in range(12)]


def config(server: Server, **changes: object) -> LlmConfig:
    endpoint = EndpointConfig(
        server.url, "coder", concurrency=4, max_retries=0, max_consecutive_failures=100
    )
    return LlmConfig(replace(endpoint, **changes), Sampling(seed=3))  # type: ignore[arg-type]


def expected(prompts: list[str], asked: LlmConfig) -> dict[str, str]:
    return {
        question.id: echo(prompt, 3 + sample)
        for prompt in prompts
        for sample, question in enumerate(asked.questions(prompt))
    }


def texts(replies: Completions) -> dict[str, str]:
    return {id_: answer.text for id_, answer in replies.answers.items()}


def lines(folder: Path) -> list[bytes]:
    """All whole lines of a ledger."""
    files = sorted(folder.glob("*.jsonl"))
    return [line for file in files for line in file.read_bytes().split(b"\n")[:-1]]


@settings(max_examples=40)
@given(
    prompts=st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=12, unique=True),
    samples=st.integers(1, 2),
    plan=st.lists(st.sampled_from([None, *FAULTS]), max_size=40),
    patience=st.integers(1, 4),
    torn=st.lists(st.integers(1, 60), max_size=3),
)
def test_whatever_fails_no_answer_is_lost_or_doubled(
    prompts: list[str], samples: int, plan: list[str | None], patience: int, torn: list[int]
) -> None:
    """Runs are repeated as people do; between them the newest file may lose its end."""
    losses = iter(torn)
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
            tear(folder, next(losses, 0))
        assert replies
        assert texts(replies) == expected(prompts, asked)
        assert len(lines(folder)) == len(prompts) * samples
        before = server.answered.copy()
        again = complete_all(prompts, asked, folder)
        assert server.answered == before, "what is answered is not asked again"
        assert again == replies


def tear(folder: Path, count: int) -> None:
    """Take `count` bytes off the newest file, as a crash of the machine may."""
    files = sorted(folder.glob("*.jsonl"))
    if files and count:
        files[-1].write_bytes(files[-1].read_bytes()[:-count])


def test_retries_follow_the_endpoints_wish(tmp_path: Path) -> None:
    with serving(plan=["500", "429", "500"]) as server:
        replies = complete_all(PROMPTS[:1], config(server, max_retries=3), tmp_path)
    assert len(server.bodies) == 4
    assert texts(replies) == expected(PROMPTS[:1], config(server))


def test_a_failure_that_lasts_is_counted_and_left_for_the_next_run(tmp_path: Path) -> None:
    with serving(plan=[None, "400", None, "close", None, "html"]) as server:
        asked = config(server, concurrency=1)
        first = complete_all(PROMPTS[:6], asked, tmp_path)
        assert len(first.answers) == 3
        missing = [answer is None for prompt in PROMPTS[:6] for answer in first.to(prompt)]
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
    assert len(lines(tmp_path)) == 2
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


def test_a_request_that_is_never_answered_meets_its_deadline(tmp_path: Path) -> None:
    with serving() as server:
        server.hold = threading.Barrier(2)
        asked = config(server, deadline_seconds=0.2, max_consecutive_failures=1, concurrency=1)
        try:
            with pytest.raises(StageError, match=r"no answer in 0\.2 s"):
                complete_all(PROMPTS[:1], asked, tmp_path)
        finally:
            server.hold.abort()


def test_requests_under_way_are_as_many_as_allowed(tmp_path: Path) -> None:
    """Each waits until four are there, so fewer would never end and more would be seen."""
    with serving() as server:
        server.hold = threading.Barrier(4)
        complete_all(PROMPTS, config(server), tmp_path)
    assert server.most_at_once == 4


def test_the_order_of_answers_changes_nothing(tmp_path: Path) -> None:
    with serving() as server:
        one = complete_all(PROMPTS, config(server, concurrency=1), tmp_path / "one")
        many = complete_all(PROMPTS[::-1], config(server, concurrency=12), tmp_path / "many")
    assert one.answers == many.answers
    assert one.facts == many.facts


def test_prompts_that_are_equal_are_asked_once(tmp_path: Path) -> None:
    with serving() as server:
        complete_all(["a", "b", "a"], config(server), tmp_path)
    assert server.answered == {"a": 1, "b": 1}


def test_what_is_sent_is_what_was_configured(tmp_path: Path) -> None:
    with serving() as server:
        sampling = Sampling(0.2, 0.9, 50, 5, stop=("END",), extra={"top_k": 3})
        complete_all(["hello"], replace(config(server), sampling=sampling), tmp_path)
    (body,) = server.bodies
    assert body == {
        "model": "coder",
        "messages": [{"role": "user", "content": "hello"}],
        "temperature": 0.2,
        "top_p": 0.9,
        "max_tokens": 50,
        "seed": 5,
        "stop": ["END"],
        "top_k": 3,
    }


def test_the_completions_route_sends_the_prompt_as_it_is(tmp_path: Path) -> None:
    with serving() as server:
        replies = complete_all(["hello"], config(server, route="completions"), tmp_path)
    assert server.bodies[0]["prompt"] == "hello"
    assert [answer.text for answer in replies.answers.values()] == [echo("hello", 3)]


def test_tokens_and_their_cost_are_summed(tmp_path: Path) -> None:
    with serving(reply=lambda prompt, seed: "one two three") as server:
        asked = config(server, prompt_price=1e6, completion_price=2e6)
        facts = complete_all(PROMPTS[:4], asked, tmp_path).facts
    usage = {"prompt_tokens": 8, "completion_tokens": 12, "cost": 8 + 2 * 12}
    assert facts["usage"] == usage


def test_an_answer_keeps_why_it_ended(tmp_path: Path) -> None:
    with serving(reply=lambda prompt, seed: "one two three") as server:
        asked = replace(config(server), sampling=Sampling(max_tokens=2))
        (answer,) = complete_all(["p"], asked, tmp_path).answers.values()
    assert answer == Completion(answer.id, "one two three", "length", 1, 3)


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
        assert len(complete_all(["p"], asked, tmp_path).answers) == 1

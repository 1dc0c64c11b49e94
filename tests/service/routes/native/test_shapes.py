"""From the native body to a scoring request."""

from reward_model.text.chat import Message
from service.routes.native.shapes import EXAMPLE, ScoreRequest
from service.scoring.types import Chat, ScoringRequest


def asked(**body: object) -> ScoringRequest:
    return ScoreRequest.model_validate(body).to_scoring_request()


def test_the_example_is_a_request() -> None:
    request = ScoreRequest.model_validate(EXAMPLE).to_scoring_request()
    assert [len(group) for group in request.inputs] == [2, 1]
    assert request.timeout == 30


def test_each_candidate_continues_the_conversation() -> None:
    request = asked(inputs=[{"prompt": "p", "candidates": ["a", "b"]}], priority="bulk")
    prompt = Message("user", "p")
    assert request.inputs == (
        (
            Chat.of((prompt, Message("assistant", "a"))),
            Chat.of((prompt, Message("assistant", "b"))),
        ),
    )
    assert (request.priority, request.timeout, request.wants_steps) == ("bulk", None, False)


def test_steps_are_offsets_into_the_text() -> None:
    request = asked(inputs=[{"prompt": "p", "candidates": ["ab\ncd", ["ab", "cd"]]}], steps={})
    (group,) = request.inputs
    assert [item.step_ends for item in group if isinstance(item, Chat)] == [(2, 5), (2, 5)]

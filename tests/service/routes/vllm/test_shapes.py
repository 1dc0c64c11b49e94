"""From vLLM's bodies to scoring requests."""

import pytest

from reward_model.text.chat import Message
from reward_model.text.encoding import Rendered
from service.errors import InvalidRequest
from service.routes.vllm.responses import vllm_error
from service.routes.vllm.shapes import ItemsRequest, PairsRequest, TokenizeRequest
from service.scoring.types import Chat, Item, ItemScore, ScoringResult, Timings, TokenIds

ANSWER = {"role": "assistant", "content": "a"}


@pytest.mark.parametrize(
    ("given", "items"),
    [
        ("text", [Rendered("text", True, None)]),
        (["one", "two"], [Rendered("one", True, None), Rendered("two", True, None)]),
        ([1, 2, 3], [TokenIds((1, 2, 3))]),
        ([[1, 2], [3]], [TokenIds((1, 2)), TokenIds((3,))]),
    ],
)
def test_items_are_texts_or_ids(given: object, items: list[Item]) -> None:
    request = ItemsRequest.model_validate({"input": given}).to_scoring_request(100)
    assert request.inputs == tuple((item,) for item in items)
    assert request.over_length == "error"


@pytest.mark.parametrize(("keep", "ids"), [(2, (2, 3)), (-1, (1, 2, 3)), (9, (1, 2, 3))])
def test_what_is_cut_is_cut_from_the_beginning(keep: int, ids: tuple[int, ...]) -> None:
    body = {"input": [1, 2, 3], "truncate_prompt_tokens": keep}
    request = ItemsRequest.model_validate(body).to_scoring_request(100)
    assert request.inputs == ((TokenIds(ids),),)
    assert request.over_length == "truncate_prompt"


def test_messages_are_one_conversation() -> None:
    request = ItemsRequest.model_validate({"messages": [ANSWER]}).to_scoring_request(100)
    assert request.inputs == ((Chat.of((Message("assistant", "a"),)),),)


def test_one_query_is_shared_by_its_documents() -> None:
    one = PairsRequest.model_validate({"queries": "q", "documents": ["a", "b"]})
    each = PairsRequest.model_validate({"text_1": ["q", "r"], "text_2": ["a", "b"], "priority": 1})
    assert [len(group) for group in one.to_scoring_request().inputs] == [2]
    assert [len(group) for group in each.to_scoring_request().inputs] == [1, 1]
    assert each.to_scoring_request().priority == "bulk"


def test_the_text_to_tokenize() -> None:
    item = TokenizeRequest.model_validate({"prompt": "p", "add_special_tokens": False}).to_item()
    assert item == Rendered("p", False)


@pytest.mark.parametrize(
    ("options", "score"),
    [
        ({}, 0.0),
        ({"use_activation": True}, 0.5),
        ({"activation": True}, 0.5),
        ({"use_activation": False, "activation": True}, 0.0),
    ],
)
def test_the_activation_is_a_sigmoid(options: dict[str, bool], score: float) -> None:
    body = ItemsRequest.model_validate({"input": "x", **options})
    result = ScoringResult("rm", "1", ((ItemScore(1, 0.0),),), 1, 0, Timings(0, 0, 0, 0, 0, 0))
    assert body.activated(result) == [score]


def test_a_vector_is_in_the_encoding_that_is_asked_for() -> None:
    plain = ItemsRequest.model_validate({"input": "x"})
    packed = ItemsRequest.model_validate({"input": "x", "encoding_format": "base64"})
    assert (plain.encoded([1.0]), packed.encoded([1.0])) == ([1.0], "AACAPw==")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, "NotFoundError"),
        (422, "BadRequestError"),
        (499, "BadRequestError"),
        (500, "InternalServerError"),
        (503, "ServiceUnavailableError"),
    ],
)
def test_errors_carry_their_status(status: int, kind: str) -> None:
    detail = {"message": "wrong", "type": kind, "param": None, "code": status}
    assert vllm_error(InvalidRequest("wrong"), status) == {"error": detail}

"""Items in and scores out, without a scorer."""

from reward_model.text.chat import Message
from reward_model.text.encoding import Rendered
from service.errors import ItemError
from service.scoring.types import (
    Chat,
    ItemScore,
    ScoringRequest,
    ScoringResult,
    Timings,
    TokenIds,
    chats,
    rank,
)

PROMPT = (Message("system", "Be brief."), Message("user", "Add two numbers."))


def result(*groups: tuple[ItemScore, ...]) -> ScoringResult:
    return ScoringResult("model", "1", groups, 0, 0, Timings(0, 0, 0, 0, 0, 0))


def test_every_answer_continues_the_same_conversation() -> None:
    items = chats(PROMPT, ("a + b", "a - b"))
    assert items == tuple(
        Chat.of((*PROMPT, Message("assistant", answer))) for answer in ("a + b", "a - b")
    )


def test_a_request_counts_its_items_over_all_inputs() -> None:
    request = ScoringRequest((chats(PROMPT, ("a", "b")), (Rendered("text"),), (TokenIds((1,)),)))
    assert request.item_count == 4
    assert not request.wants_steps


def test_steps_are_wanted_even_where_an_answer_has_none() -> None:
    assert ScoringRequest((chats(PROMPT, ("",), step_ends=((),)),)).wants_steps


def test_a_result_sums_up_its_items() -> None:
    failed = ItemScore(7, error=ItemError("too_long", "cut it"))
    scored = result((ItemScore(3, 0.5), failed), (ItemScore(2, 0.1, cached=True),))
    assert scored.items() == [ItemScore(3, 0.5), failed, ItemScore(2, 0.1, cached=True)]
    assert (scored.tokens, scored.cached, scored.computed) == (12, 1, 1)
    assert scored.errors() == {"too_long": 1}


def test_ties_rank_by_index_and_errors_do_not_rank() -> None:
    items = tuple(ItemScore(1, raw) for raw in (1.0, 3.0, None, 3.0, -0.5))
    assert rank(items) == [1, 3, 0, 4]


def test_the_answers_of_a_group_share_their_prompt_and_copy_none_of_it() -> None:
    prompt = (Message("user", "x"),) * 1000
    items = chats(prompt, ("a", "b"))
    assert all(isinstance(item, Chat) and item.prompt is prompt for item in items)
    assert [len(item.conversation) for item in items if isinstance(item, Chat)] == [1001, 1001]


def test_the_last_turn_of_a_conversation_is_its_answer() -> None:
    conversation = (*PROMPT, Message("assistant", "a"))
    assert Chat.of(conversation) == Chat(PROMPT, Message("assistant", "a"))
    assert Chat.of(conversation).conversation == conversation

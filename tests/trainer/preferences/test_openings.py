import json

from hypothesis import given
from hypothesis import strategies as st

from reward_model.text.chat import Conversation, Message
from trainer.pairs.group import group_of
from trainer.pairs.row import PreferenceRow, Rejected, Request
from trainer.preferences.openings import divided_openings, in_groups

OPENING = Message("user", "Begin.")


def row(identity: str, prompt: Request, group: str = "") -> PreferenceRow:
    rejected = (Rejected("rejected", "b"),)
    return PreferenceRow(identity, group or group_of(prompt), prompt, "a", rejected)


def groups_of(prompts: list[Conversation]) -> list[str]:
    rows = [row(str(number), prompt) for number, prompt in enumerate(prompts)]
    return [each.group for each in in_groups(rows, divided_openings(rows))]


def task(number: int, *later: Message) -> Conversation:
    return (OPENING, Message("assistant", "Ready."), Message("user", f"Task {number}"), *later)


def test_conversations_that_begin_alike_are_told_apart_by_a_later_turn() -> None:
    assert len(set(groups_of([task(number) for number in range(40)]))) == 40


def test_a_task_may_stand_in_the_system_prompt_or_in_a_result() -> None:
    by_system: list[Conversation] = [
        (Message("system", f"Task {number}"), OPENING) for number in range(40)
    ]
    by_result: list[Conversation] = [(OPENING, Message("tool", f"Issue {n}")) for n in range(40)]
    assert len(set(groups_of(by_system))) == len(set(groups_of(by_result))) == 40


def test_a_conversation_stays_with_its_continuation() -> None:
    goes_on = (Message("assistant", "Done."), Message("user", "More?"))
    prompts = [task(number, *later) for number in range(20) for later in ((), goes_on)]
    found = groups_of(prompts)
    assert found[::2] == found[1::2]
    assert len(set(found)) == 20


def test_calls_tell_tasks_apart_and_their_random_ids_do_not() -> None:
    def call(number: int, identity: str) -> Conversation:
        calls = [{"id": identity, "function": {"name": "open", "arguments": {"issue": number}}}]
        return (OPENING, Message("assistant", "", json.dumps({"tool_calls": calls})), OPENING)

    found = groups_of([call(n, name) for n in range(20) for name in ("x", "y")])
    assert found[::2] == found[1::2]
    assert len(set(found)) == 20


def test_a_problem_that_was_taken_up_in_a_few_ways_is_one_group() -> None:
    tried = [(OPENING, Message("assistant", f"{n}"), Message("user", "No.")) for n in range(16)]
    others = [(Message("user", f"Problem {n}"),) for n in range(20)]
    found = groups_of([*tried, *others])
    assert set(found[:16]) == {group_of("Begin.")}
    assert len(set(found)) == 21


def test_small_data_of_one_opening_is_told_apart_as_well() -> None:
    assert len(set(groups_of([task(1), task(2), task(3)]))) == 3


def test_groups_that_a_column_names_stay() -> None:
    rows = [row(str(number), task(number), group="s/repository") for number in range(40)]
    assert divided_openings(rows) == {}


names = st.sampled_from(["", "a", "b", "c"])


@given(st.lists(st.lists(names, min_size=1, max_size=4), max_size=40))
def test_the_same_request_is_always_in_one_group(talks: list[list[str]]) -> None:
    roles = ("user", "assistant")
    prompts = [tuple(Message(roles[n % 2], text) for n, text in enumerate(talk)) for talk in talks]
    by_prompt: dict[Conversation, set[str]] = {}
    for prompt, group in zip(prompts, groups_of(prompts), strict=True):
        by_prompt.setdefault(prompt, set()).add(group)
    assert all(len(found) == 1 for found in by_prompt.values())

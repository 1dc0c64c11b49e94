"""Which columns of a row are scored, and which ones it gets."""

import pytest

from codepmp_client.bulk.columns import Columns, NewColumns, RowInput, detect
from codepmp_client.bulk.exits import UsageError
from codepmp_client.bulk.row_values import Unscorable
from codepmp_client.bulk.tables import Record

USER = {"role": "user", "content": "p"}
ANSWER = {"role": "assistant", "content": "a"}
CALL = {"role": "assistant", "tool_calls": [{"id": "1"}]}


@pytest.mark.parametrize(
    ("record", "columns"),
    [
        ({"prompt": "p", "candidates": ["a", "b"]}, Columns("prompt", "candidates", True)),
        ({"question": "p", "answer": "x", "responses": []}, Columns("question", "responses", True)),
        ({"prompt": "p", "question": "q", "response": "a"}, Columns("prompt", "response", False)),
        ({"messages": [USER], "completion": [ANSWER]}, Columns("messages", "completion", False)),
        ({"prompt": "p", "candidates": "one"}, Columns("prompt", "candidates", False)),
        ({"messages": [USER, ANSWER]}, Columns("messages", None, False)),
        (
            {"instruction": "p", "input": "", "response": "a"},
            Columns("instruction", "response", False),
        ),
        (
            {"custom_id": "1", "body": {"messages": [USER], "candidates": ["a"]}},
            Columns("messages", "candidates", True, in_body=True),
        ),
        (
            {"custom_id": "1", "body": {"query": "p", "documents": ["a"]}},
            Columns("query", "documents", True, in_body=True),
        ),
        (
            {"custom_id": "1", "url": "/v1/chat/completions", "body": {"messages": [USER, ANSWER]}},
            Columns("messages", None, False, in_body=True),
        ),
        (
            {"custom_id": "1", "body": {"inputs": [{"prompt": "p", "candidates": ["a"]}]}},
            Columns("prompt", "candidates", True, in_body=True),
        ),
    ],
)
def test_columns_are_found_by_their_usual_names(record: Record, columns: Columns) -> None:
    assert detect(record) == columns
    assert isinstance(columns.read(record), RowInput)


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"prompt": "p", "messages": [USER], "response": "a"}, "prompt or messages.*--prompt-col"),
        ({"prompt": "p", "response": "a", "completion": "b"}, "--candidates-column"),
        ({"prompt": "p", "chosen": "a", "rejected": "b"}, "there are prompt, chosen, rejected"),
        ({"text": "p"}, "no column is known as the prompt.*there are text"),
        ({}, "there are no columns"),
        ({"instruction": "p", "input": "x", "response": "a"}, "join them"),
        ({"custom_id": "1", "response": {"body": {}}}, "answers of a batch"),
        ({"custom_id": "1", "body": None}, "body is not an object"),
    ],
)
def test_what_is_not_clear_is_asked_for_by_the_options_name(record: Record, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        detect(record)


def test_a_column_that_was_named_is_taken_and_must_be_there() -> None:
    record: Record = {"task": "p", "outs": [{"code": "a", "text": "no"}], "prompt": "other"}
    columns = detect(record, prompt="task", candidates="outs", field="code")
    assert columns.read(record) == RowInput("p", ("a",))
    with pytest.raises(UsageError, match="no column tsk"):
        detect(record, prompt="tsk", candidates="outs")


@pytest.mark.parametrize(
    ("candidate", "read"),
    [
        ("a", "a"),
        ("", ""),
        ({"model": "m", "text": "a", "correct": True}, "a"),
        ({"role": "assistant", "content": "a"}, "a"),
        ({"role": "assistant", "content": "a", "annotations": []}, "a"),
        ([ANSWER], "a"),
        ([CALL], {"tool_calls": [{"id": "1"}]}),
        ({"role": "assistant", "content": None, "reasoning": "r"}, {"reasoning": "r"}),
    ],
)
def test_a_candidate_is_a_text_an_object_with_one_or_a_turn(
    candidate: object, read: object
) -> None:
    columns = Columns("prompt", "candidates", True)
    row = columns.read({"prompt": "p", "candidates": [candidate]})
    assert row.candidates == (read,)


def test_conversations_keep_what_a_template_reads_and_lose_nulls() -> None:
    turn = {"role": "user", "content": "p", "tool_calls": None, "id": 7}
    columns = Columns("messages", "response", False)
    tools = [{"type": "function"}]
    for given in (tools, '[{"type": "function"}]'):
        row = columns.read({"messages": [turn], "response": "a", "tools": given})
        assert row == RowInput([{"role": "user", "content": "p"}], ("a",), ({"type": "function"},))


@pytest.mark.parametrize(
    ("columns", "record", "says"),
    [
        (Columns("prompt", "response", False), {"prompt": "p"}, "response is missing"),
        (Columns("prompt", "response", False), {"response": "a", "prompt": None}, "prompt is miss"),
        (Columns("prompt", "response", False), {"response": "a", "prompt": 5}, "neither a text"),
        (Columns("prompt", "response", False), {"response": "a", "prompt": "\ud83d"}, "Unicode"),
        (Columns("prompt", "response", False), {"response": 5, "prompt": "p"}, "neither a text"),
        (Columns("prompt", "candidates", True), {"candidates": "a", "prompt": "p"}, "not a list"),
        (Columns("prompt", "response", False), {"response": {}, "prompt": "p"}, "no text in"),
        (Columns("messages", "response", False), {"response": "a", "messages": []}, "neither"),
        (Columns("messages", "response", False), {"response": "a", "messages": [1]}, "role"),
        (Columns("messages", "response", False), {"response": "a", "messages": [ANSWER]}, "ends"),
        (Columns("messages", None, False), {"messages": [USER]}, "no conversation"),
        (Columns("messages", None, False), {"messages": [USER, USER]}, "does not end"),
        (Columns("prompt", "r", False), {"prompt": "p", "r": "a", "tools": "{"}, "tools is not"),
        (Columns("prompt", "r", False), {"prompt": "p", "r": [ANSWER, ANSWER]}, "several turns"),
    ],
)
def test_a_row_that_cannot_be_scored_says_why(columns: Columns, record: Record, says: str) -> None:
    with pytest.raises(Unscorable, match=says):
        columns.read(record)


def test_new_columns_do_not_take_the_names_of_others() -> None:
    assert NewColumns.choose(True, ["id"]).all == (
        *("scores", "normalized", "errors"),
        *("model", "version"),
    )
    assert NewColumns.choose(False, ["model"]).all == (
        *("score", "normalized", "error"),
        *("reward_model", "reward_version"),
    )


def test_a_row_that_cannot_be_scored_gets_its_reason() -> None:
    names = NewColumns.choose(False, [])
    added = names.record(Unscorable("response is missing"), listed=False)
    assert added["error"] == "invalid_row: response is missing"
    assert added["score"] is None

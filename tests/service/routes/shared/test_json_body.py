"""Strict JSON, and what it may cost before it is refused."""

import json

import pytest

from service.errors import MalformedBody
from service.routes.shared.json_body import parse_json, read_json

DEEPEST = 64


def listed(part: bytes, times: int) -> bytes:
    return b"[" + b",".join([part] * times) + b"]"


@pytest.mark.parametrize(
    "value",
    [{}, {"a": [1, 2.5, None, True, "text"]}, {"emoji": "\U0001f600", "e": "caf\xe9"}, [], "", 0],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_json_is_parsed(value: object, ascii_only: bool) -> None:
    assert parse_json(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b'"\xe9"',
        b'{"a": 1} {}',
        b"[}" * 100,
        b"[" * 100_000,
        b"]" * 100_000,
        b"1" * 5000,
        b'{"a": 1, "a": 1}',
        b'[{"b": {"a": 1, "a": 2}}]',
    ],
)
def test_other_bodies_are_refused_and_never_quoted(body: bytes) -> None:
    with pytest.raises(MalformedBody) as refused:
        parse_json(body)
    assert "0xe9" not in refused.value.message


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_another_encoding_is_told_by_its_name(encoding: str) -> None:
    with pytest.raises(MalformedBody, match=f"(?i)is in {encoding}.*: send JSON in UTF-8"):
        parse_json(json.dumps({"a": 1}).encode(encoding))


def test_a_byte_order_mark_of_utf_8_is_no_part_of_the_body() -> None:
    assert parse_json("\ufeff{}".encode()) == {}


@pytest.mark.parametrize("body", [rb'["ok", "\ud83d"]', rb'["ok", "\ud83d", "\\ud83d"]'])
def test_half_a_surrogate_pair_is_left_to_the_text_that_holds_it(body: bytes) -> None:
    parsed = parse_json(body)
    assert isinstance(parsed, list)
    assert parsed[:2] == ["ok", "\ud83d"]


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
def test_a_nesting_deeper_than_any_request_s_is_refused(opening: bytes) -> None:
    closing = opening.replace(b'"a":', b"").translate(bytes.maketrans(b"[{", b"]}"))[::-1]
    levels = len(closing)
    for times, fits in ((DEEPEST // levels, True), (DEEPEST // levels + 1, False)):
        body = opening * times + b"0" + closing * times
        if fits:
            assert parse_json(body) is not None
        else:
            with pytest.raises(MalformedBody, match="nested more than 64 deep"):
                parse_json(body)


@pytest.mark.parametrize(
    ("part", "times", "what"),
    [
        (b"[]", 100_000, "lists and objects"),
        (b"{}", 100_000, "lists and objects"),
        (b'{"a":1}', 300_000, "lists and objects"),
        (b"[" * 60 + b"]" * 60, 5000, "lists and objects"),
        (b'""', 500_001, "strings"),
        (rb'"\"["', 500_001, "strings"),
        (b"1.5", 200_001, "numbers with fractions"),
        (b"1E9", 200_001, "numbers with fractions"),
        (b"true", 200_001, "true and false"),
    ],
)
def test_more_parts_than_any_request_needs_are_refused_before_they_are_parsed(
    part: bytes, times: int, what: str
) -> None:
    body = listed(part, times)
    with pytest.raises(MalformedBody, match=what):
        parse_json(body)
    # What is not even JSON is refused in the same words: nothing was parsed.
    with pytest.raises(MalformedBody, match=what):
        parse_json(body + b"}")


@pytest.mark.parametrize(
    "text", ["[" * 300_000, "{" * 300_000 + '"' * 1000, '"' * 1_500_000, "\\" * 999, "e." * 300_000]
)
def test_brackets_and_quotes_within_a_text_are_not_counted(text: str) -> None:
    body = json.dumps({"inputs": [text, "]"]}).encode()
    assert parse_json(body) == {"inputs": [text, "]"]}


@pytest.mark.parametrize("part", ["1", "null"])
@pytest.mark.parametrize(
    "body",
    ['{"inputs": [{"tools": [{"a": [%s]}]}]}', '{"input": [], "messages": [{"a": {"b": [%s]}}]}'],
)
def test_more_numbers_than_any_request_needs_are_refused_but_for_token_ids(
    body: str, part: str
) -> None:
    many = ",".join([part] * 300_000)
    with pytest.raises(MalformedBody, match="numbers and nulls"):
        parse_json((body % many).encode())
    for field in ("input", "input_ids"):
        parse_json(f'{{"{field}": [[{many}]], "model": "a"}}'.encode())


async def test_millions_of_token_ids_are_taken() -> None:
    ids = list(range(300)) * 3000
    assert await read_json(json.dumps(ids).encode()) == ids


async def test_a_large_body_is_refused_in_the_same_words() -> None:
    for size in (10, 100_000):
        with pytest.raises(MalformedBody, match="not JSON"):
            await read_json(b"[" + b" " * size)

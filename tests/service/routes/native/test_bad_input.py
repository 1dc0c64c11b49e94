"""What `POST /v1/score` refuses, how it says so, and that it goes on unharmed."""

from pathlib import Path

import pytest

from service.scoring.model import open_model
from tests.checkpoints import make_checkpoint
from tests.service.fakes import running, starting

SECRET = "my secret text"
TURN = {"role": "user", "content": SECRET}
GOOD = {"prompt": SECRET, "candidates": [SECRET]}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ([], None),
        (SECRET, None),
        ({}, "inputs"),
        ({"inputs": []}, "inputs"),
        ({"inputs": GOOD}, "inputs"),
        ({"inputs": [SECRET]}, "inputs[0]"),
        ({"inputs": [GOOD, {"prompt": SECRET}]}, "inputs[1].candidates"),
        ({"inputs": [{"prompt": SECRET, "candidates": []}]}, "inputs[0].candidates"),
        ({"inputs": [{"prompt": SECRET, "candidates": SECRET}]}, "inputs[0].candidates"),
        ({"inputs": [{"prompt": SECRET, "candidates": ["a", 1]}]}, "inputs[0].candidates[1]"),
        ({"inputs": [{"prompt": SECRET, "candidates": [None]}]}, "inputs[0].candidates[0]"),
        ({"inputs": [{"prompt": 7, "candidates": [SECRET]}]}, "inputs[0].prompt"),
        ({"inputs": [{"candidates": [SECRET]}]}, "inputs[0]"),
        ({"inputs": [GOOD | {"messages": [TURN]}]}, "inputs[0]"),
        ({"inputs": [{"messages": [], "candidates": [SECRET]}]}, "inputs[0].messages"),
        (
            {"inputs": [{"messages": [TURN | {"role": "assistant"}], "candidates": ["a"]}]},
            "inputs[0]",
        ),
        (
            {"inputs": [{"messages": [TURN | {"role": 1}], "candidates": ["a"]}]},
            "inputs[0].messages[0].role",
        ),
        (
            {"inputs": [{"messages": [TURN | {"content": [1]}], "candidates": ["a"]}]},
            "inputs[0].messages[0].content",
        ),
        (
            {"inputs": [{"messages": [TURN | {"tool_calls": SECRET}], "candidates": ["a"]}]},
            "inputs[0].messages[0].tool_calls",
        ),
        (
            {"inputs": [{"messages": [TURN | {"tool_cals": []}], "candidates": ["a"]}]},
            "inputs[0].messages[0].tool_cals",
        ),
        ({"inputs": [GOOD | {"tools": [SECRET]}]}, "inputs[0].tools[0]"),
        ({"inputs": [GOOD | {"template_kwargs": [SECRET]}]}, "inputs[0].template_kwargs"),
        ({"inputs": [GOOD], "steps": {"separator": SECRET}}, "steps.separator"),
        ({"inputs": [GOOD], "steps": {"delimiter": SECRET * 10}}, "steps.delimiter"),
        ({"inputs": [GOOD | {"candidates": ["\n" * 600_000]}], "steps": {}}, None),
        ({"inputs": [GOOD | {"candidates": ["\n" * 60_000] * 10}], "steps": {}}, None),
        ({"inputs": [GOOD]} | {f"{SECRET}{n}": n for n in range(50)}, None),
        ({"inputs": [GOOD | {f"{SECRET}{n}": n for n in range(50)}]}, "inputs[0]"),
        ({"inputs": [GOOD], "activation": True}, "activation"),
        ({"inputs": [GOOD], SECRET: 1}, "?"),
        ({"inputs": [GOOD | {"candidate": "x"}]}, "inputs[0].candidate"),
        ({"inputs": [GOOD], "priority": SECRET}, "priority"),
        ({"inputs": [GOOD], "over_length": SECRET}, "over_length"),
        ({"inputs": [GOOD], "timeout_ms": "30"}, "timeout_ms"),
        ({"inputs": [GOOD], "timeout_ms": 1.5}, "timeout_ms"),
        ({"inputs": [GOOD], "timeout_ms": True}, "timeout_ms"),
        ({"inputs": [GOOD], "timeout_ms": 0}, "timeout_ms"),
        ({"inputs": [GOOD], "timeout_ms": 10**400}, "timeout_ms"),
        ({"inputs": [GOOD], "timeout_ms": 10**12}, "timeout_ms"),
        ({"inputs": [GOOD], "model": 3}, "model"),
        ({"inputs": [GOOD] * 16_385}, "inputs"),
        ({"inputs": [GOOD | {"candidates": ["a"] * 16_385}]}, "inputs[0].candidates"),
        ({"inputs": [{"prompt": SECRET, "candidates": [SECRET] * 11}]}, "inputs"),
        ({"inputs": [GOOD] * 11}, "inputs"),
    ],
)
async def test_a_wrong_request_is_told_which_field_and_never_what_was_in_it(
    body: object, param: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with running(max_candidates=10) as app:
        answer = await app.client.post("/v1/score", json=body)
        unharmed = await app.score("prompt", "a")
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_request")
    assert error["param"] == param
    assert error["message"].startswith(param or "the body")
    assert SECRET not in answer.text + caplog.text
    assert unharmed.status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": [{"prompt": SECRET, "candidates": [1] * 150_000}]},
        {"inputs": [1] * 150_000},
        {"inputs": [GOOD], "models": {str(number): SECRET for number in range(100_000)}},
        {"inputs": [{"messages": [1] * 150_000, "candidates": [SECRET]}]},
    ],
)
async def test_no_fault_is_told_twice(body: object) -> None:
    """All of them together would take far more memory than the body."""
    async with running() as app:
        answer = await app.client.post("/v1/score", json=body)
    assert answer.status_code == 422
    assert "more)" not in answer.json()["error"]["message"]


async def test_an_empty_candidate_costs_its_neighbours_nothing() -> None:
    async with running() as app:
        answer = await app.score("prompt", "a", "", "b")
    result = answer.json()["results"][0]
    assert [bool(item["error"]) for item in result["scores"]] == [False, True, False]
    assert result["scores"][1]["error"]["code"] == "empty"
    assert sorted(result["ranking"]) == [0, 2]


ODD = [
    {"prompt": "", "candidates": ["a"]},
    {"messages": [TURN, {"role": "tool", "content": ""}], "candidates": ["a"]},
    {"messages": [{"role": "system", "content": ""}, TURN], "candidates": ["a"]},
    {"messages": [{"role": "developer", "content": "x"}, TURN], "candidates": ["a"]},
    {"messages": [TURN | {"content": [{"type": "text"}]}], "candidates": ["a"]},
]


async def test_empty_turns_and_any_role_are_the_template_s_to_refuse() -> None:
    async with running() as app:
        answer = await app.client.post("/v1/score", json={"inputs": [GOOD, *ODD]})
    results = answer.json()["results"]
    assert [result["scores"][0]["error"] for result in results] == [None] * (1 + len(ODD))


async def test_what_the_template_refuses_costs_no_other_conversation(tmp_path: Path) -> None:
    template = (
        "{% for m in messages %}{% if m.role not in ['user', 'assistant'] %}"
        "{{ raise_exception('unknown role: ' + m.role) }}{% endif %}{{ m.content }}{% endfor %}"
    )
    path = make_checkpoint(tmp_path / "rm", template=template)
    odd = {"messages": [{"role": "my secret role", "content": ""}, TURN], "candidates": ["a"]}
    async with starting(open_model, model=str(path)) as app:
        await app.service.started()
        answer = await app.client.post("/v1/score", json={"inputs": [GOOD, odd, GOOD]})
        reserved = await app.client.post(
            "/v1/score", json={"inputs": [GOOD | {"template_kwargs": {"messages": []}}, GOOD]}
        )
    first, refused, last = (result["scores"][0] for result in answer.json()["results"])
    assert refused["error"]["code"] == "unencodable"
    assert "my secret role" not in answer.text
    assert first["score"] == last["score"] is not None
    codes = [one["scores"][0]["error"] for one in reserved.json()["results"]]
    assert codes[0]["code"] == "unencodable"
    assert codes[1] is None


async def test_ten_thousand_candidates_are_refused_with_the_limit() -> None:
    async with running() as app:
        answer = await app.score("prompt", *["x"] * 10_000)
    assert answer.status_code == 422
    assert "10000 candidates" in answer.json()["error"]["message"]
    assert "1024" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"inputs": [{"prompt": "\xe9", "candidates": ["a"]}]}',
        b"[" * 100_000,
        b"1" * 100_000,
        b"{'inputs': []}",
        b'{"inputs": [{"prompt": "p", "candidates": ["a"], "candidates": ["b"]}]}',
        b'{"inputs": [], "inputs": []}',
        b'{"inputs": [{"prompt": "p", "candidates": ["a"]}], "timeout_ms": 1' + b"0" * 5000 + b"}",
    ],
)
async def test_a_body_that_is_not_json_in_utf8(body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    async with running() as app:
        answer = await app.client.post("/v1/score", content=body, headers=headers)
        unharmed = await app.score("prompt", "a")
    assert answer.status_code == (400 if body else 422)
    assert answer.json()["error"]["code"] == ("malformed_body" if body else "invalid_request")
    assert unharmed.status_code == 200


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded"])
async def test_another_content_type_is_told_which_one_is_needed(content_type: str) -> None:
    async with running() as app:
        answer = await app.client.post(
            "/v1/score", content=b'{"inputs": []}', headers={"Content-Type": content_type}
        )
    assert answer.status_code == 422
    assert "application/json" in answer.json()["error"]["message"]


HALF_A_PAIR = r"ok \ud83d"


@pytest.mark.parametrize(
    "entry",
    [
        rf'{{"prompt": "p", "candidates": ["{HALF_A_PAIR}"]}}',
        rf'{{"prompt": "{HALF_A_PAIR}", "candidates": ["a"]}}',
        rf'{{"messages": [{{"role": "user", "content": "{HALF_A_PAIR}"}}], "candidates": ["a"]}}',
        rf'{{"prompt": "p", "candidates": [["{HALF_A_PAIR}"]]}}',
    ],
)
async def test_half_a_surrogate_pair_costs_its_own_candidates_alone(
    entry: str, caplog: pytest.LogCaptureFixture
) -> None:
    body = rf'{{"inputs": [{{"prompt": "p", "candidates": ["a"]}}, {entry}], "steps": {{}}}}'
    headers = {"Content-Type": "application/json"}
    async with running() as app:
        answer = await app.client.post("/v1/score", content=body.encode(), headers=headers)
    assert answer.status_code == 200
    (good,), (bad,) = (result["scores"] for result in answer.json()["results"])
    assert good["score"] == 2
    assert bad["error"]["code"] == "unencodable"
    assert "surrogate" in bad["error"]["message"]
    assert not [record for record in caplog.records if record.exc_info], "it is no fault of ours"


@pytest.mark.parametrize(
    ("field", "param"),
    [
        (rf'"model": "{HALF_A_PAIR}"', "model"),
        (rf'"models": {{"{HALF_A_PAIR}": 1}}', "models.?.?"),
        (rf'"priority": "{HALF_A_PAIR}"', "priority"),
        (rf'"{HALF_A_PAIR}": 1', None),
    ],
)
async def test_half_a_surrogate_pair_elsewhere_is_told_with_its_field(
    field: str, param: str | None
) -> None:
    body = rf'{{"inputs": [{{"prompt": "p", "candidates": ["a"]}}], {field}}}'
    headers = {"Content-Type": "application/json"}
    async with running() as app:
        answer = await app.client.post("/v1/score", content=body.encode(), headers=headers)
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, param)
    assert "half a surrogate pair" in answer.json()["error"]["message"]


async def test_a_conversation_of_many_turns_costs_each_of_its_many_candidates_nothing() -> None:
    entry = {"messages": [{"role": "user", "content": "x"}] * 50_000, "candidates": ["a"] * 1024}
    async with running(max_candidates=1025) as app:
        answer = await app.client.post("/v1/score", json={"inputs": [entry, GOOD]})
    far_too_long, good = answer.json()["results"]
    assert {score["error"]["code"] for score in far_too_long["scores"]} == {"too_long"}
    assert good["best"] == 0

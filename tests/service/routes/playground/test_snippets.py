"""The curl and the Python of what is on the screen, run by a shell and an interpreter."""

import ast
import json
import math
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.client.servers import service
from tests.service.auth.test_key_file import line
from tests.service.http.test_gate import KEY
from tests.service.routes.playground.conftest import Visit
from tests.service.routes.playground.states import HALF, HOSTILE, STATE, Json, fragment
from tests.service.routes.playground.test_page import Answer, ask

ROOT = Path(__file__).resolve().parents[4]

OPTIONS: list[Json] = [
    {
        "turns": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": HOSTILE[0]},
        ]
    },
    {"mode": "two", "modelB": "test-rm@2", "overLength": "truncate_prompt", "steps": "line"},
    {"mode": "sum", "weights": {"test-rm@1": 1, "test-rm@2": -1e-7}},
    {"steps": "custom", "delimiter": "'\\n\" \\\\"},
]


def code(page: Page, name: str) -> str:
    page.locator(f"#{name} summary").click()
    text = page.locator(f"#{name} pre")
    expect(text).not_to_be_empty()
    return text.text_content() or ""


def run(command: list[str], text: str, tmp_path: Path, **variables: str) -> str:
    """Run a code that is read from standard input, and see that it left nothing behind."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "client"), "HOME": str(tmp_path)}
    done = subprocess.run(
        command,
        input=text,
        capture_output=True,
        check=False,
        text=True,
        encoding="utf-8",
        cwd=tmp_path,
        env=environment | variables | {"no_proxy": "127.0.0.1"},
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []
    return done.stdout


def answers_of(output: str) -> list[Answer]:
    """The results in what curl printed, one answer after the other."""
    decoder = json.JSONDecoder()
    answers = []
    while output := output.strip():
        answer, end = decoder.raw_decode(output)
        answers.append(answer["results"][0])
        output = output[end:]
    return answers


def numbers(answers: list[Answer]) -> list[float]:
    """All scores, those of steps included; NaN where there is none."""
    found: list[float | None] = []
    for score in (score for answer in answers for score in answer["scores"]):
        found.append(score["score"])
        found += [step["score"] for step in score["steps"] or ()]
    return [math.nan if number is None else number for number in found]


def bodies(options: Mapping[str, object]) -> list[Json]:
    """The options of the requests that a state means."""
    shared: Json = {}
    if options.get("overLength") == "truncate_prompt":
        shared["over_length"] = "truncate_prompt"
    if options.get("steps") == "line":
        shared["steps"] = {"delimiter": "\n"}
    if options.get("steps") == "custom":
        shared["steps"] = {"delimiter": "'\n\" \\"}
    if options.get("mode") == "two":
        return [shared, {**shared, "model": options["modelB"]}]
    if options.get("mode") == "sum":
        return [{**shared, "models": options["weights"]}]
    return [shared]


@pytest.mark.parametrize("options", OPTIONS)
def test_they_score_what_is_on_the_screen(
    served: str, visit: Visit, tmp_path: Path, options: Json
) -> None:
    page = visit(served, fragment(candidates=HOSTILE, **options))
    turns = options.get("turns", STATE["turns"])
    assert isinstance(turns, list)
    expected = [ask(served, HOSTILE, messages=turns, options=body) for body in bodies(options)]
    # Scores of the same text differ by float noise when it is computed in another batch.
    same = pytest.approx(numbers(expected), abs=1e-5, nan_ok=True)
    # A POSIX shell, and one with more in it that could be expanded.
    for shell in ("sh", "bash"):
        assert numbers(answers_of(run([shell], code(page, "curl"), tmp_path))) == same
        page.locator("#curl summary").click()
    output = run([sys.executable, "-"], code(page, "python"), tmp_path)
    printed = [text.split()[1] for text in output.splitlines() if "ranking:" not in text]
    scores = [score["score"] for answer in expected for score in answer["scores"]]
    assert [float(text) for text in printed] == pytest.approx(scores, abs=1e-5)


def test_the_texts_in_them_are_those_on_the_screen(served: str, visit: Visit) -> None:
    page = visit(served, fragment(candidates=[*HOSTILE, HALF]))
    module = ast.parse(code(page, "python"))
    values = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in module.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in ("prompt", "candidates")
    }
    assert values == {"prompt": "Write add(a, b).", "candidates": [*HOSTILE, HALF]}
    words = shlex.split(code(page, "curl"))
    body = json.loads(words[words.index("--data-raw") + 1])
    assert body["inputs"] == [values]
    # Nothing in them is unseen or changes the direction of a line.
    for name in ("curl", "python"):
        assert (page.locator(f"#{name} pre").text_content() or "").replace("\n", "").isprintable()


def test_long_texts_are_more_than_an_argument_of_a_command_may_have(
    served: str, visit: Visit, tmp_path: Path
) -> None:
    texts = ["it's " * 800 + str(index) for index in range(32)]
    page = visit(served, fragment(candidates=texts, modelA="other-rm@unversioned"))
    expect(page.locator("#status")).to_contain_text("32 of 32 scored")
    (answer,) = answers_of(run(["sh"], code(page, "curl"), tmp_path))
    expected = ask(served, texts, options={"model": "other-rm@unversioned"})
    assert numbers([answer]) == pytest.approx(numbers([expected]), abs=1e-5)


def test_they_take_the_key_from_a_variable(visit: Visit, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(line("team-a", KEY))
    work = tmp_path / "work"
    work.mkdir()
    with service(api_keys_file=keys) as (url, _):
        page = visit(url, fragment(candidates=["a"]))
        page.get_by_label("API key").fill(KEY)
        page.get_by_label("API key").press("Enter")
        expect(page.locator(".column")).to_have_count(1)
        assert len(answers_of(run(["sh"], code(page, "curl"), work, KEY=KEY))) == 1
        assert "ranking: (0,)" in run([sys.executable, "-"], code(page, "python"), work, KEY=KEY)

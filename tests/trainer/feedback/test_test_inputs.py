from dataclasses import replace
from pathlib import Path

import pytest

from tests.bubblewrap import needs_bubblewrap
from tests.trainer.feedback.problems import ADD, SUM, write_problems
from tests.trainer.synthesis.corpus import asking
from tests.trainer.synthesis.server import serving
from trainer.feedback.problem import AssertTest, Problem, StdioTest
from trainer.feedback.sandbox.open import SandboxConfig
from trainer.feedback.sandbox.types import Input
from trainer.feedback.test_inputs import (
    InputTemplates,
    TestInputsConfig,
    check,
    prompt_of,
    read_test_inputs,
    run,
)
from trainer.pipeline.stage import StageError, manifest_hash, read_manifest

HALF = Problem(
    id="half",
    group="half",
    kind="function",
    statement="Divide the first number by the second.",
    entry_point="half",
    signature="def half(a, b):",
    gold="import random\n\ndef half(a, b):\n    return random.random() if a == 7 else a / b",
)
SCRIPT = Problem(
    id="script",
    group="script",
    kind="script",
    statement="Read a number and print it.",
    gold="print(int(input()))",
    tests=(StdioTest("5\n", "5\n"),),
)
CALLS = {
    "add": "Sure!\n```python\nassert add(3, 4) == 7\nadd(1, 2)\nadd(1)\nadd(x, 2)\nadd(0, -1)\n```",
    "half": "1. half(1, 2)\n2. half(1, 0)\n3. half(7, 1)\n4. half(4, 2)",
    "script": "```\n12\n```\n```\nno number\n```",
}


def replying(prompt: str, seed: int | None) -> str:
    """As a small model would."""
    return next(text for name, text in CALLS.items() if name in prompt or name == "script")


def config(url: str = "http://127.0.0.1:1", **fields: object) -> TestInputsConfig:
    made = TestInputsConfig(llm=asking(url), use_gold=False)
    return replace(made, **fields)  # type: ignore[arg-type]


def inputs_of(work: Path, settings: TestInputsConfig) -> dict[str, tuple[Input, ...]]:
    run(settings, work, work / "inputs")
    return {row.problem: row.inputs for row in read_test_inputs(work / "inputs")}


def calls(*arguments: str) -> tuple[Input, ...]:
    return tuple(Input(arguments=each) for each in arguments)


def test_a_model_is_asked_and_what_it_writes_is_kept_or_counted(tmp_path: Path) -> None:
    write_problems(tmp_path / "problems", ADD, SUM, HALF, SCRIPT)
    with serving(replying) as server:
        found = inputs_of(tmp_path, config(server.url, max_inputs=3))
    assert found == {
        "add": calls("(3, 4)", "(1, 2)", "(0, -1)"),
        "half": calls("(1, 2)", "(1, 0)", "(7, 1)"),
        "script": (Input("12\n"), Input("no number\n")),
    }
    manifest = read_manifest(tmp_path / "inputs")
    assert manifest["counts"] == {
        "problems": 3,
        "problem: with inputs": 3,
        "answer: with new inputs": 3,
        "input: taken": 9,
        "input: wrong arguments": 1,
        "input: arguments are no plain data": 1,
        "input: over max_inputs": 1,
        "input: kept": 8,
    }
    assert manifest["usage"]["completion_tokens"] > 0
    assert "isolation" not in manifest, "without reference programs nothing runs"


@needs_bubblewrap
def test_inputs_on_which_the_reference_does_not_end_well_are_dropped(tmp_path: Path) -> None:
    unlabelled = replace(ADD, id="more", gold="")
    write_problems(tmp_path / "problems", ADD, HALF, SCRIPT, unlabelled)
    with serving(replying) as server:
        settings = config(server.url, use_gold=True, sandbox=SandboxConfig(workers=1))
        found = inputs_of(tmp_path, settings)
        before = manifest_hash(tmp_path / "inputs")
        assert inputs_of(tmp_path, settings) == found
    assert found["half"] == calls("(1, 2)", "(4, 2)")
    assert found["script"] == (Input("12\n"),)
    assert found["more"] == found["add"]
    counts = read_manifest(tmp_path / "inputs")["counts"]
    assert counts["input on the reference: ok"] == 3 + 2 + 1
    assert counts["input on the reference: exception"] == 2
    assert counts["input on the reference: repeats disagree"] == 1
    assert read_manifest(tmp_path / "inputs")["isolation"] == "bubblewrap"
    assert manifest_hash(tmp_path / "inputs") == before


def test_given_tests_give_inputs_and_no_model_is_asked(tmp_path: Path) -> None:
    write_problems(tmp_path / "problems", ADD, SCRIPT, HALF)
    found = inputs_of(tmp_path, config(source="given", llm=None))
    assert found == {
        "add": calls("(1, 2)", "(2, 2)", "(-1, 1)"),
        "script": (Input("5\n"),),
    }
    assert read_manifest(tmp_path / "inputs")["counts"]["problem: no inputs"] == 1


def test_both_sources_are_joined_without_duplicates(tmp_path: Path) -> None:
    write_problems(tmp_path / "problems", ADD)
    with serving(replying) as server:
        found = inputs_of(tmp_path, config(server.url, source="both"))
    assert found["add"] == calls("(1, 2)", "(2, 2)", "(-1, 1)", "(3, 4)", "(0, -1)")


def test_several_answers_to_a_prompt_add_up(tmp_path: Path) -> None:
    write_problems(tmp_path / "problems", ADD)
    with serving(lambda _, seed: f"add({seed}, 0)\nadd(0, 0)") as server:
        found = inputs_of(tmp_path, config(server.url, llm=asking(server.url, samples=3)))
    assert found["add"] == calls("(1, 0)", "(0, 0)", "(2, 0)", "(3, 0)")


def test_an_endpoint_that_dies_in_the_middle_leaves_what_it_answered(tmp_path: Path) -> None:
    problems = [replace(ADD, id=f"p{n}", statement=f"Add {n}.") for n in range(6)]
    write_problems(tmp_path / "problems", *problems)
    dying = asking("", concurrency=1)
    dying = replace(dying, endpoint=replace(dying.endpoint, max_consecutive_failures=2))
    with serving(replying, plan=[None, None, None, "close", "500"]) as server:
        llm = replace(dying, endpoint=replace(dying.endpoint, url=server.url))
        with pytest.raises(StageError, match=r"2 requests .* failed in a row.*are kept"):
            inputs_of(tmp_path, config(llm=llm))
        assert not (tmp_path / "inputs").exists()
        assert len(inputs_of(tmp_path, config(llm=llm))) == 6
        assert len(server.bodies) == 5 + 3


def test_an_answer_that_is_missing_is_counted_and_asked_for_again(tmp_path: Path) -> None:
    write_problems(tmp_path / "problems", ADD, HALF)
    with serving(replying, plan=["500"]) as server:
        settings = config(llm=asking(server.url, concurrency=1))
        assert inputs_of(tmp_path, settings).keys() == {"half"}
        counts = read_manifest(tmp_path / "inputs")["counts"]
        assert counts["answer: not answered yet"] == counts["problem: no inputs"] == 1
        assert inputs_of(tmp_path, settings).keys() == {"add", "half"}


def test_the_prompt_shows_no_test_and_no_reference() -> None:
    prompt = prompt_of(ADD, config(max_inputs=7))
    assert all(text in prompt for text in (ADD.statement, "7 different calls", "\nadd(a, b)\n"))
    assert "return a + b" not in prompt
    assert "(2, 2)" not in prompt


def test_examples_show_what_goes_in_and_not_what_comes_out() -> None:
    named = AssertTest("assert add(1, b=25) == 26")
    problem = replace(ADD, tests=(named, *ADD.tests), entry_point="Adder.add", signature="")
    prompt = prompt_of(problem, config(examples=2))
    assert "\nadd(1, b=25)\nadd(1, 2)\n```" in prompt
    assert "26" not in prompt
    assert "add(2, 2)" not in prompt


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (config(llm=None), "set llm"),
        (config(llm=asking("")), r"neither llm\.endpoint\.url nor policy"),
        (config(templates=InputTemplates(function="Test it.")), r"has no \{statement\}"),
        (config(templates=InputTemplates(script="{statement} {x}")), "may name"),
    ],
)
def test_what_could_only_fail_is_said_before_anything_is_asked(
    tmp_path: Path, settings: TestInputsConfig, message: str
) -> None:
    with pytest.raises(StageError, match=message):
        check(settings, tmp_path)

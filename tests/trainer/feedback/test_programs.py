import pytest

from trainer.feedback.programs import MAX_OUTPUT_CHARACTERS, ProgramJob, output_text
from trainer.feedback.sandbox.types import Outcome, Program, Status
from trainer.feedback.sandbox.values import encode

SCRIPT = ProgramJob(Program("print(1)"), ())
FUNCTION = ProgramJob(Program("def f(): ...", "f"), ())


def text(value: object) -> str:
    return output_text(FUNCTION, Outcome(Status.OK, value=encode(value), stdout="log"))


def printed(stdout: str) -> str:
    return output_text(SCRIPT, Outcome(Status.OK, stdout=stdout))


def test_the_output_of_a_function_is_what_it_returns() -> None:
    assert text([1, (2.0, "a")]) == text([1.0, (2, "a")])
    assert text({"a": 1, "b": 2}) == text({"b": 2, "a": 1})
    assert text([1]) != text((1,))
    assert text(None) == "None"


def test_the_output_of_a_script_is_what_it_prints() -> None:
    assert printed("1 \n2\n\n") == printed("1\n2") == "1\n2"
    assert printed("") == ""


def test_a_long_output_is_kept_as_its_hash() -> None:
    long, other = "a" * (MAX_OUTPUT_CHARACTERS + 1), "b" * (MAX_OUTPUT_CHARACTERS + 1)
    assert printed(long).startswith("sha256:")
    assert len({printed(long), printed(other), printed(long[1:])}) == 3
    assert text(list(range(1000))) == text(list(map(float, range(1000))))


def test_halves_of_surrogate_pairs_can_be_kept() -> None:
    assert printed("a\ud800") == "a\\ud800"
    assert text("a\udfff").isascii()


def test_what_is_no_value_is_refused() -> None:
    with pytest.raises(ValueError, match=r"wire|JSON|Expecting"):
        output_text(FUNCTION, Outcome(Status.OK, value="]"))

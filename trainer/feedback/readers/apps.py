"""APPS and data sets of its shape (Hendrycks et al. 2021, arXiv 2105.09938): lists of inputs."""

import re
from dataclasses import dataclass
from typing import Literal

from trainer.feedback.expression import expression_of
from trainer.feedback.problem import CallTest, Problem, StdioTest, Test
from trainer.feedback.readers.reader import decoded, id_of, optional_text, unix
from trainer.tables.record import Record, Unusable, list_of, record_of, text_of

CLASS = re.compile(r"^class\s+(\w+)", re.MULTILINE)


@dataclass(frozen=True)
class Apps:
    """Rows whose tests are JSON with `inputs`, `outputs` and, for functions, `fn_name`.

    Tests come from JSON, which has no tuples, so that a tuple counts as a list of its elements.

    Attributes:
        solutions: column of the reference programs, a list or JSON text; the first is the gold.
            Empty if there are none.
        starter_code: column of the code that an answer goes on from; its class, if it has one,
            holds the function.
    """

    kind: Literal["apps"] = "apps"
    id: str = "problem_id"
    statement: str = "question"
    tests: str = "input_output"
    solutions: str = "solutions"
    starter_code: str = "starter_code"

    @property
    def columns(self) -> tuple[str, ...]:
        return self.id, self.statement, self.tests

    def read(self, record: Record) -> Problem:
        held = record.get(self.tests)
        cases = record_of(decoded(held, self.tests), self.tests) if held else {}
        starter = optional_text(record, self.starter_code)
        name = cases.get("fn_name")
        if name is not None and not isinstance(name, str):
            raise Unusable("fn_name is not text")
        found = CLASS.search(starter)
        entry_point = f"{found[1]}.{name}" if name and found else name or ""
        inputs, outputs = (
            list_of(cases, column) if cases else [] for column in ("inputs", "outputs")
        )
        if len(inputs) != len(outputs):
            raise Unusable("numbers of inputs and outputs differ")
        tests = calls(inputs, outputs) if entry_point else scripts(inputs, outputs)
        identifier = id_of(record, self.id)
        return Problem(
            id=identifier,
            group=identifier,
            kind="function" if entry_point else "script",
            statement=text_of(record, self.statement).strip(),
            entry_point=entry_point,
            signature=starter.strip(),
            gold=self._gold(record),
            tests=tests,
            sequences_alike=True,
        )

    def _gold(self, record: Record) -> str:
        if not self.solutions or not record.get(self.solutions):
            return ""
        solutions = decoded(record[self.solutions], self.solutions)
        if not isinstance(solutions, list):
            raise Unusable(f"{self.solutions} is not a list")
        return unix(str(solutions[0])) if solutions else ""


def calls(inputs: list[object], outputs: list[object]) -> tuple[Test, ...]:
    """Tests of a function: each input is the list of its arguments.

    APPS wraps each output in a list of one element. Outputs are taken out of it if all of them are
    such lists.
    """
    if outputs and all(isinstance(each, list) and len(each) == 1 for each in outputs):
        outputs = [each[0] for each in outputs if isinstance(each, list)]
    if not all(isinstance(each, list) for each in inputs):
        raise Unusable("an input of a function is not the list of its arguments")
    return tuple(
        CallTest(expression_of(tuple(given)), expression_of(expected))
        for given, expected in zip(inputs, outputs, strict=True)
        if isinstance(given, list)
    )


def scripts(inputs: list[object], outputs: list[object]) -> tuple[Test, ...]:
    """Tests of a script. Some rows have a list of lines instead of a text."""

    def text(value: object) -> str:
        if isinstance(value, list):
            return "\n".join(map(str, value))
        return unix(value) if isinstance(value, str) else str(value)

    return tuple(StdioTest(text(a), text(b)) for a, b in zip(inputs, outputs, strict=True))

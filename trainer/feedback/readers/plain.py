"""Plain tables: JSON Lines, Parquet or CSV with a problem in each row and its columns named."""

from dataclasses import dataclass
from typing import Literal

from trainer.feedback.expression import expression_of
from trainer.feedback.problem import AssertTest, CallTest, Problem, StdioTest, Test
from trainer.feedback.readers.reader import decoded, id_of, optional_text, unix
from trainer.tables.record import Record, Unusable, text_of


@dataclass(frozen=True)
class Plain:
    """Rows of any table. A column's name that is empty says that there is no such column.

    Attributes:
        problem: what all rows are: scripts, functions or questions with a final answer.
        tests: column of a list of tests, or of JSON text that holds it. A test is a text with an
            assert; an object with `stdin` and `stdout` (or `input` and `output`); or one with
            `arguments` (a list, or a Python expression as text) and `expected`, and perhaps
            `keywords`. Values are those of JSON, and then a tuple counts as a list; a Python
            expression stands under `expected_expression` instead.
        group: column that names the unit of hold-out; without it each problem is one.
        gold: column of the reference program or answer.
    """

    kind: Literal["plain"] = "plain"
    problem: Literal["script", "function", "math"] = "function"
    id: str = "id"
    statement: str = "statement"
    tests: str = "tests"
    entry_point: str = "entry_point"
    signature: str = ""
    prefix: str = ""
    setup: str = ""
    gold: str = ""
    group: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        names = [self.id, self.statement, self.group, self.gold]
        if self.problem == "function":
            names.append(self.entry_point)
        return tuple(filter(None, names))

    def read(self, record: Record) -> Problem:
        identifier = id_of(record, self.id)
        tests = decoded(record.get(self.tests) or [], self.tests) if self.tests else []
        if not isinstance(tests, list):
            raise Unusable(f"{self.tests} is not a list")
        if self.problem == "math" and tests:
            raise Unusable("a problem of mathematics has an answer and no tests")
        return Problem(
            id=identifier,
            group=id_of(record, self.group) if self.group else identifier,
            kind=self.problem,
            statement=text_of(record, self.statement).strip(),
            entry_point=optional_text(record, self.entry_point).strip()
            if self.problem == "function"
            else "",
            signature=optional_text(record, self.signature).strip(),
            prefix=optional_text(record, self.prefix),
            setup=optional_text(record, self.setup),
            gold=optional_text(record, self.gold),
            tests=tuple(map(self._test, tests)),
            sequences_alike=any(isinstance(each, dict) and "expected" in each for each in tests),
        )

    def _test(self, test: object) -> Test:
        if isinstance(test, str) and self.problem == "function":
            return AssertTest(unix(test).strip())
        if not isinstance(test, dict):
            raise Unusable("a test is neither a text with an assert nor an object")
        if self.problem == "script":
            given = test.get("stdin", test.get("input", ""))
            printed = test.get("stdout", test.get("output"))
            if not isinstance(given, str) or not isinstance(printed, str):
                raise Unusable("a test of a script needs stdin and stdout, which are texts")
            return StdioTest(unix(given), unix(printed))
        arguments, keywords = test.get("arguments", []), test.get("keywords", {})
        expected = test.get("expected_expression")
        if expected is None and "expected" in test:
            expected = expression_of(test["expected"])
        if not isinstance(expected, str):
            raise Unusable("a test of a function needs arguments, and what is expected")
        if not isinstance(arguments, str | list) or not isinstance(keywords, str | dict):
            raise Unusable("arguments are a list, keywords an object, or Python expressions")
        return CallTest(
            arguments if isinstance(arguments, str) else expression_of(tuple(arguments)),
            expected,
            keywords if isinstance(keywords, str) else expression_of(keywords),
        )

"""The reference answer is what the solution marks."""

import pytest

from trainer.feedback.readers.gsm8k import Gsm8k
from trainer.tables.record import Unusable


def test_the_answer_stands_behind_the_mark() -> None:
    problem = Gsm8k().read({"question": "How many? ", "answer": "2+2=<<2+2=4>>4\n#### 1,004"})
    assert (problem.kind, problem.statement, problem.gold) == ("math", "How many?", "1,004")
    assert problem.id == problem.group
    assert problem.id.startswith("gsm8k/")


def test_the_id_is_made_from_the_question_or_read() -> None:
    row: dict[str, object] = {"question": "q", "answer": "#### 1", "n": 5}
    assert Gsm8k().read(row).id == Gsm8k().read(row).id
    assert Gsm8k(id="n").read(row).id == "gsm8k/5"
    with pytest.raises(Unusable, match="question is empty"):
        Gsm8k().read({"question": " ", "answer": "#### 1"})

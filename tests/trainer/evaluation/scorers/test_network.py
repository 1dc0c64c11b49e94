from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from reward_model.text.chat import Message, TemplateInputs
from tests.checkpoints import TEMPLATE, make_checkpoint
from trainer.evaluation.measures.scored import score_questions
from trainer.evaluation.question import Question, question_of
from trainer.evaluation.scorers.network import NetworkScorer
from trainer.pairs.row import PreferenceRow, Rejected, answer_text


def test_company_never_changes_a_score_and_order_is_kept(tmp_path: Path) -> None:
    scorer = NetworkScorer(make_checkpoint(tmp_path))
    texts = tuple(f"for item in {'items ' * n}" for n in range(1, 60))
    question = Question("1", "a", "Write a loop.", texts, (True,) * len(texts))
    (together,) = scorer.score([question])
    for text, reading in list(zip(texts, together, strict=True))[::20]:
        ((alone,),) = scorer.score([Question("2", "a", "Write a loop.", (text,), (True,))])
        assert alone.scores == pytest.approx(reading.scores, abs=1e-5)


def test_pairs_without_scores_are_counted(tmp_path: Path) -> None:
    checkpoint, counts = make_checkpoint(tmp_path), Counter[str]()
    long = "word " * 2000
    rows = [
        PreferenceRow("1", "a", "p", "x", (Rejected("mutant", long), Rejected("mutant", "y"))),
        PreferenceRow("2", "a", "p", long, (Rejected("mutant", "y"),)),
    ]
    questions = [question_of(row) for row in rows]
    (judged,) = score_questions(questions, NetworkScorer(checkpoint), "both", counts)
    assert len(judged.scores) == 2
    assert judged.question.answers == ("x", "y")
    assert counts == {
        "mutant: too long": 1,
        "chosen: too long": 1,
        "question left with too few answers": 1,
    }
    assert questions[0].correct == (True, False, False)


def test_calls_and_tools_are_shown_to_the_template(tmp_path: Path) -> None:
    template = TEMPLATE.replace(
        "{{ message.content }}", "{{ message.content }}{{ message.tool_calls }}{{ tools }}"
    )
    scorer = NetworkScorer(make_checkpoint(tmp_path, template=template))
    calls = [(Message("assistant", "", f'{{"tool_calls": ["{name}"]}}'),) for name in "ab"]
    question = Question(
        "1",
        "g",
        "Add.",
        tuple(map(answer_text, calls)),
        (True, False),
        answer_turns=tuple(calls),
        inputs=TemplateInputs(tools='[{"name": "add"}]'),
    )
    ((first, second),) = scorer.score([question])
    ((bare, _),) = scorer.score([replace(question, inputs=TemplateInputs())])
    ((text,),) = scorer.score([Question("2", "g", "Add.", (question.answers[0],), (True,))])
    assert len({first.scores, second.scores, bare.scores, text.scores}) == 4

from collections import Counter

from tests.trainer.feedback.made import function, sampled
from trainer.feedback.comparable import LabelledSample, comparable, distinct_answers, kind_of
from trainer.feedback.pass_count import PassCount, Verdict
from trainer.feedback.problem import Problem
from trainer.feedback.sample import Sampler


def labelled(
    number: int, text: str, passed: int, total: int = 2, **facts: object
) -> LabelledSample:
    sample = sampled("p", number, text, **facts)
    return sample, PassCount(sample.id, "p", passed, total)


def test_a_program_that_was_written_twice_is_kept_once() -> None:
    answers = [
        labelled(0, "Here:\n```python\ndef f(a):\n    return a\n```", 2),
        labelled(1, "```python\ndef f(b):\n    # same\n    return b\n```\nDone.", 2),
        labelled(2, "```python\ndef f(b):\n    return -b\n```", 0),
    ]
    counts: Counter[str] = Counter()
    kept = distinct_answers(function("p"), answers, True, counts)
    assert [sample.number for sample, _ in kept] == [0, 2]
    assert counts == {"answers compared": 2, "answers of the same program as another": 1}
    assert len(distinct_answers(function("p"), answers, False, Counter())) == 3


def test_a_program_that_was_judged_both_ways_is_left_out() -> None:
    answers = [labelled(0, "def f(): return g()", 2), labelled(1, "def f():  return g()", 1)]
    counts: Counter[str] = Counter()
    assert distinct_answers(function("p"), answers, True, counts) == []
    assert counts == {"answers judged both ways": 2}


def test_reasoning_to_an_answer_is_compared_as_text() -> None:
    problem = Problem("p", "p", "math", "?")
    answers = [labelled(0, "So 4.", 1, 1), labelled(1, "So 4.  \n", 1, 1), labelled(2, "4", 1, 1)]
    kept = distinct_answers(problem, answers, True, Counter())
    assert [sample.number for sample, _ in kept] == [0, 2]


def test_answers_of_two_policies_are_not_compared() -> None:
    other = Sampler("better", weights="v")
    answers = [labelled(0, "a", 2), labelled(1, "b", 0), labelled(2, "c", 0, sampler=other)]
    assert [[sample.number for sample, _ in each] for each in comparable(answers)] == [[0, 1], [2]]


def test_the_first_failure_names_what_is_wrong() -> None:
    verdicts = (Verdict.OK, Verdict.TIMEOUT, Verdict.WRONG)
    assert kind_of(PassCount("s", "p", 1, 3, verdicts)) == "timeout"
    assert kind_of(PassCount("s", "p", 1, 3)) == "failing"
    assert kind_of(PassCount("s", "p", 1, 1, (Verdict.OK,))) == "passing"

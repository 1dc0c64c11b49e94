import pytest

from trainer.corpus.snippet import Snippet
from trainer.pairs.prompts import describe, summarize


def snippet(docstring: str, identity: str = "1") -> Snippet:
    return Snippet(
        identity, "p", "MIT", "p.py", "mean", "mean(values)", docstring, "def mean(): ..."
    )


@pytest.mark.parametrize(
    ("docstring", "summary"),
    [
        ("Return the mean of all values.\n\nMore follows.", "Return the mean of all values"),
        ("Return the mean. It is cheap to do.", None),
        ("Compute the :func:`mean` over ``axis`` one.", "Compute the mean over axis one"),
        ("See also the other function here.", None),
        ("Übersetzt alle Wörter im Text hier.", None),
        ("mean(values) -> the mean of values", None),
        ("", None),
    ],
)
def test_a_summary_is_a_plain_first_sentence(docstring: str, summary: str | None) -> None:
    assert summarize(docstring) == summary


def test_an_undescribed_function_is_asked_for_by_its_signature() -> None:
    prompt = describe(snippet(""), seed=1)
    assert (prompt.text, prompt.described) == ("Write the function `mean(values)`.", False)


def test_plain_wordings_never_name_the_function() -> None:
    snippets = [snippet("Returns the average of all values.", str(i)) for i in range(60)]
    prompts = {describe(each, seed=1, named=False).text for each in snippets}
    assert len(prompts) == 3
    assert not any("mean" in prompt for prompt in prompts)


def test_wordings_vary_with_the_snippet_and_repeat_with_the_seed() -> None:
    snippets = [snippet("Returns the mean of all values.", str(i)) for i in range(60)]
    prompts = [describe(each, seed=1).text for each in snippets]
    assert len(set(prompts)) == 6
    assert "Write a function to return the mean of all values." in prompts
    assert prompts == [describe(each, seed=1).text for each in snippets]

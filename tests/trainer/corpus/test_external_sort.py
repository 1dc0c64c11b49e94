import random

from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.corpus.snippets import snippet
from trainer.corpus.external_sort import ExternalSort
from trainer.corpus.snippet import Snippet

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
FOUND = st.lists(
    st.tuples(st.builds(snippet, TEXT, TEXT, docstring=TEXT, path=TEXT), st.integers(0, 2)),
    max_size=8,
)


def through(found: list[tuple[Snippet, int]]) -> list[Snippet]:
    with ExternalSort() as by_package:
        for each, rank in found:
            by_package.add(each, rank, 0)
        assert len(by_package) == len(found)
        return list(by_package.sorted())


@given(FOUND, st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_when_a_snippet_came(
    found: list[tuple[Snippet, int]], rng: random.Random
) -> None:
    once = through(found)
    rng.shuffle(found)
    assert through(found) == once


def test_of_equal_functions_in_a_file_the_first_comes_first() -> None:
    found = [snippet("same", docstring=text) for text in ("second", "first")]
    with ExternalSort() as by_package:
        for position, each in enumerate(found):
            by_package.add(each, 0, position)
        assert list(by_package.sorted()) == found


@given(FOUND)
def test_nothing_is_lost_and_packages_come_one_by_one(found: list[tuple[Snippet, int]]) -> None:
    expected = sorted((s.package, s.id, rank) for s, rank in found)
    assert [(s.package, s.id) for s in through(found)] == [(p, i) for p, i, _ in expected]

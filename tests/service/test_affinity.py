from hypothesis import given
from hypothesis import strategies as st

from reward_model.packing import Sequence, new_tokens
from service.affinity import run_around_first


def sequences(*texts: str) -> list[Sequence]:
    return [Sequence(tuple(text.encode()), (len(text) - 1,)) for text in texts]


def test_relatives_are_preferred_to_what_came_earlier() -> None:
    window = sequences("promptA", "other", "third", "promptB", "promptC")
    assert run_around_first(window, 9) == [0, 3, 4]


def test_of_equal_relatives_the_earlier_goes_first() -> None:
    assert run_around_first(sequences("m", "z", "a"), 2) == [0, 1]
    assert run_around_first(sequences("m", "a", "z"), 2) == [0, 1]


def test_the_first_goes_whatever_it_costs() -> None:
    assert run_around_first(sequences("too long", "b"), 3) == [0]


def test_a_side_that_does_not_fit_does_not_stop_the_other() -> None:
    assert run_around_first(sequences("prompt", "prompt and much more", "pro"), 7) == [0, 2]


TEXT = st.text("ab", min_size=1, max_size=12)


@given(st.lists(TEXT, min_size=1, max_size=20), st.integers(1, 40))
def test_the_first_is_in_and_the_budget_holds(texts: list[str], room: int) -> None:
    window = sequences(*texts)
    taken = run_around_first(window, room)
    assert taken[0] == 0
    assert taken == sorted(set(taken))
    cost = sum(new_tokens([window[index] for index in taken]))
    assert cost <= room or taken == [0]


@given(st.lists(TEXT, min_size=1, max_size=20))
def test_what_fits_as_a_whole_is_taken_as_a_whole(texts: list[str]) -> None:
    window = sequences(*texts)
    room = sum(new_tokens(window))
    assert len(run_around_first(window, room)) == len(window)

"""Sequences that share a prefix are batched together, others in order of arrival."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from reward_model.packing import Sequence, new_tokens, shared_prefix
from service.scheduling.grouping import ArrivalGrouping, PrefixGrouping


def sequences(*texts: str) -> list[Sequence]:
    return [Sequence(tuple(text.encode()), (len(text) - 1,)) for text in texts]


def leading(*texts: str, enough: int, most: int | None = None) -> list[int]:
    return PrefixGrouping(enough, most or enough).choose(sequences(*texts), enough, leads=True)


def filling(*texts: str, enough: int, room: int) -> list[int]:
    return PrefixGrouping(enough, 2 * enough).choose(sequences(*texts), room, leads=False)


def test_the_example_of_the_module() -> None:
    waiting = ("promptA", "other", "promptB", "mine", "promptC", "ox")
    assert leading(*waiting, enough=15) == [0, 1, 2, 4, 5]


def test_without_shared_prefixes_sequences_go_in_the_order_of_arrival() -> None:
    choose = ArrivalGrouping().choose
    window = sequences("promptA", "other", "promptB", "x")
    assert choose(window, 12, leads=True, may_split=False) == [0, 1]
    assert choose(window, 3, leads=True, may_split=False) == [0], "the oldest, whatever it costs"
    assert choose(window, 3, leads=False, may_split=False) == []


def test_without_shared_prefixes_every_step_that_is_scored_costs_its_text() -> None:
    window = [Sequence(tuple(range(5)), (1, 3, 4)), *sequences("abc")]
    assert ArrivalGrouping().choose(window, 13, leads=True, may_split=False) == [0]
    assert ArrivalGrouping().choose(window, 14, leads=True, may_split=False) == [0, 1]


def test_relatives_are_preferred_to_what_came_earlier() -> None:
    assert leading("promptA", "other", "third", "promptB", "promptC", enough=9) == [0, 3, 4]


def test_of_equal_relatives_the_earlier_goes_first() -> None:
    assert leading("px", "pz", "pa", "q", enough=3) == [0, 1]
    assert leading("px", "pa", "pz", "q", enough=3) == [0, 1]


def test_strangers_go_by_age_and_not_by_their_letters() -> None:
    assert leading("m", "z", "a", enough=2) == [0, 1]
    assert leading("mm", "aaa", "m", "z", enough=4) == [0, 2, 3]


def test_a_prefix_that_all_share_relates_none_of_them() -> None:
    assert leading("system m", "system z", "system l", enough=9) == [0, 1]


def test_the_first_goes_whatever_it_costs() -> None:
    assert leading("too long", "b", enough=3) == [0]
    assert leading("too long", "too late", "b", enough=3) == [0]


def test_a_side_that_does_not_fit_does_not_stop_the_other() -> None:
    assert leading("prompt", "prompt and much more", "pro", "x", enough=7) == [0, 2, 3]


def test_a_batch_grows_rather_than_split_inseparable_sequences() -> None:
    family = [f"prompt{letter}" for letter in "ABCD"]
    assert leading(*family, "other", enough=8, most=16) == [0, 1, 2, 3]
    assert leading(*family, "other", enough=8, most=9) == [0, 1, 2]
    assert leading(*family, enough=8, most=16) == [0, 1, 2, 3], "all there are, and no strangers"


def test_a_text_longer_than_a_batch_takes_its_relatives_along() -> None:
    assert leading("prompt A", "prompt B", "prompt C", "p", enough=5, most=9) == [0, 1, 3]


def test_a_batch_that_must_stay_short_splits_them() -> None:
    window = sequences(*(f"prompt{letter}" for letter in "ABCD"))
    choose = PrefixGrouping(20, 40).choose
    assert choose(window, 8, leads=True, may_split=True) == [0, 1]
    assert choose(window, 20, leads=True, may_split=True) == [0, 1, 2, 3]
    other = sequences("promptA", "promptB", "promptC", "other")
    assert choose(other, 8, leads=False, may_split=True) == [0, 1]
    assert choose(other, 8, leads=False) == []


def test_a_distant_relative_does_not_bring_part_of_its_own_family() -> None:
    ours, theirs = [f"xxPPPPPP{n}" for n in range(2)], [f"xxQQQQQQ{n * 4}" for n in "abcd"]
    assert leading(*ours, "older", *theirs, enough=24) == [0, 1, 2]
    assert leading(*ours, "older", *theirs, enough=24, most=48) == [0, 1, 2]
    assert filling(*ours, "other", *theirs, enough=24, room=20) == [0, 1, 2]
    assert leading(*ours, "older", *theirs, enough=32) == [0, 1, 3, 4, 5, 6]


def test_a_group_that_fills_a_batch_up_is_not_split() -> None:
    family = [f"prompt{letter}" for letter in "ABC"]
    assert filling(*family, "other", enough=20, room=9) == [0, 1, 2]
    assert filling("x", *family, "other", enough=20, room=9) == [0, 4]


def test_a_group_that_fills_a_batch_up_does_not_overtake_the_oldest() -> None:
    assert filling("too long", "b", enough=20, room=3) == []
    assert filling("promptA", "promptB", "b", enough=20, room=7) == []


def test_distant_relatives_may_be_split() -> None:
    """What they share, 3 tokens of a batch of 40, costs little to compute again."""
    assert filling("pr one", "pr two", "pr six", "other", enough=40, room=10) == [0, 2]


TEXT = st.text("ab", min_size=1, max_size=12)
TEXTS = st.lists(TEXT, min_size=1, max_size=20)


@given(TEXTS, st.integers(1, 20), st.integers(0, 20), st.integers(0, 19), *[st.booleans()] * 2)
def test_the_first_leads_and_the_budget_holds(
    texts: list[str], enough: int, more: int, spent: int, leads: bool, may_split: bool
) -> None:
    window, room = sequences(*texts), max(1, enough - spent)
    taken = PrefixGrouping(enough, enough + more).choose(
        window, room, leads=leads, may_split=may_split
    )
    assert taken == sorted(set(taken))
    assert taken[:1] == [0] or (not leads and not taken)
    cost = sum(new_tokens([window[index] for index in taken]))
    most = enough + more if leads and not may_split else room
    assert cost <= max(most, len(texts[0]) if leads else 0)


@given(TEXTS)
def test_a_window_that_fits_is_taken_whole(texts: list[str]) -> None:
    everything = sum(map(len, texts))
    assert leading(*texts, enough=everything) == list(range(len(texts)))


@given(TEXTS, st.integers(8, 24))
def test_nothing_that_fills_a_batch_up_leaves_a_close_relative_behind(
    texts: list[str], enough: int
) -> None:
    window = sequences(*texts)
    taken = set(PrefixGrouping(enough, enough).choose(window, enough, leads=False))
    common = shared_prefix(min(window, key=_ids).ids, max(window, key=_ids).ids)
    order = sorted(range(len(window)), key=lambda index: window[index].ids)
    for left, right in pairwise(order):
        shared = shared_prefix(window[left].ids, window[right].ids)
        if shared >= enough // 8 and shared > common:
            assert (left in taken) == (right in taken)


def _ids(sequence: Sequence) -> tuple[int, ...]:
    return sequence.ids

from benchmarks.attention import pairs, tree_of


def test_pairs_are_counted_once_where_a_prompt_is_shared() -> None:
    packed = tree_of(prompt=3, candidates=2, length=2)
    assert len(packed.ids) == 3 + 2 * 2
    assert pairs(packed) == (1 + 2 + 3) + 2 * (4 + 5)


def test_texts_that_share_nothing_see_themselves_alone() -> None:
    assert pairs(tree_of(prompt=0, candidates=3, length=2)) == 3 * (1 + 2)

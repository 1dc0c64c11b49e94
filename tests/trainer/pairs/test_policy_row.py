from trainer.pairs.policy_row import PolicyAnswer, PolicyRow, swapped_sides


def test_swapped_sides_are_the_same_pairs_the_wrong_way_round() -> None:
    good, bad, worse = (PolicyAnswer(name, name) for name in ("good", "bad", "worse"))
    row = PolicyRow("1", "g", "p", good, (bad, worse), prompt_ids=(1, 2), ends=False)
    swapped = swapped_sides(row)
    assert [(each.chosen, each.rejected) for each in swapped] == [(bad, (good,)), (worse, (good,))]
    assert len({each.id for each in swapped}) == 2
    assert all(each.prompt_ids == (1, 2) and not each.ends for each in swapped)

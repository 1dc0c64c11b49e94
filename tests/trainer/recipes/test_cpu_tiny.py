from trainer.recipes import open_recipe


def test_the_second_round_starts_from_the_first_and_trains_on_the_hard_pairs() -> None:
    recipe = open_recipe("cpu_tiny")
    harden = recipe["harden"].config
    assert (harden.start, harden.pairs) == ("pretrain", "hard_pairs")
    hard = recipe["hard_pairs"].config
    assert (hard.named, hard.neighbours) == (False, True)
    assert all(recipe[stage].config.checkpoint == "harden" for stage in ("calibrate", "evaluate"))


def test_hard_pairs_hold_out_the_packages_of_the_first_ones() -> None:
    """Otherwise a package of the evaluation would be trained on in the second round."""
    recipe = open_recipe("cpu_tiny")
    first, hard = recipe["pairs"].config, recipe["hard_pairs"].config
    assert first.evaluation_share == hard.evaluation_share
    assert first.calibration_share == hard.calibration_share

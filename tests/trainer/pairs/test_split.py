from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from trainer.pairs.make import PairsConfig
from trainer.pairs.split import HoldOut
from trainer.preferences.gather import PreferencesConfig
from trainer.synthesis.combine import LlmPairsConfig


@given(st.text(), st.floats(0, 0.4), st.floats(0, 0.4))
def test_a_package_never_leaves_evaluation_when_more_is_held_out(
    package: str, share: float, more: float
) -> None:
    config = HoldOut(evaluation_share=share)
    if config.split_of(package) == "evaluation":
        assert replace(config, evaluation_share=share + more).split_of(package) == "evaluation"


def test_shares_are_shares_of_the_groups() -> None:
    config = HoldOut(evaluation_share=0.2, calibration_share=0.1)
    splits = [config.split_of(f"package {number}") for number in range(2000)]
    assert abs(splits.count("evaluation") / 2000 - 0.2) < 0.03
    assert abs(splits.count("calibration") / 2000 - 0.1) < 0.03


def test_only_held_out_splits_have_a_limit() -> None:
    config = HoldOut(max_held_out=3)
    assert not config.is_full("train", 99)
    assert not config.is_full("evaluation", 2)
    assert config.is_full("evaluation", 3)
    assert not HoldOut(max_held_out=None).is_full("calibration", 99)


def test_all_stages_of_pairs_hold_out_the_same_groups() -> None:
    configs = (PairsConfig(), PreferencesConfig(()), LlmPairsConfig())
    for number in range(50):
        assert len({config.split_of(f"package {number}") for config in configs}) == 1

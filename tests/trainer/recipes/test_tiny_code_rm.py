from trainer.recipes import open_recipe


def test_it_is_cpu_tiny_with_more_of_the_same() -> None:
    small, large = open_recipe("cpu_tiny"), open_recipe("tiny_code_rm")
    assert list(large.stages) == list(small.stages)
    for stage in ("base", "hard_pairs", "calibrate", "evaluate"):
        assert large[stage].config == small[stage].config
    for stage in ("warmup", "pretrain", "harden"):
        assert large[stage].config.max_steps > 10 * small[stage].config.max_steps
        assert large[stage].config.learning_rate == small[stage].config.learning_rate

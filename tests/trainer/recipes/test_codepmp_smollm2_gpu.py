from trainer.recipes import open_recipe


def test_larger_numbers_and_nothing_else_that_is_learnt() -> None:
    small, large = open_recipe("codepmp_smollm2"), open_recipe("codepmp_smollm2_gpu")
    assert list(small.stages) == list(large.stages)
    assert large["describe"].config.max_snippets > small["describe"].config.max_snippets
    for stage in ("pretrain", "finetune"):
        small_run, large_run = small[stage].config, large[stage].config
        assert (large_run.lora, large_run.weights) == (small_run.lora, small_run.weights)
        assert large_run.prompts_per_step > small_run.prompts_per_step

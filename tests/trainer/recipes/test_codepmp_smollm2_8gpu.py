from trainer.recipes import open_recipe


def test_eight_times_the_pairs_and_the_batch() -> None:
    one, eight = open_recipe("codepmp_smollm2_gpu"), open_recipe("codepmp_smollm2_8gpu")
    ratio = eight["describe"].config.max_snippets / one["describe"].config.max_snippets
    batches = eight["pretrain"].config.prompts_per_step / one["pretrain"].config.prompts_per_step
    assert ratio == batches == 8

"""The figures of arXiv 2410.02229."""

import pytest

from trainer.recipes import open_recipe


@pytest.mark.parametrize(("size", "rate"), [("1_5b", 3e-6), ("7b", 1e-6)])
def test_the_papers_figures(size: str, rate: float) -> None:
    config = open_recipe(f"codepmp_qwen2_{size}")["pretrain"].config
    assert config.max_steps * config.prompts_per_step == 28_116_992  # 28.1 M pairs, once
    assert (config.learning_rate, config.warmup_ratio, config.decay_ratio) == (rate, 0.03, 0.1)
    assert (config.weights.rank, config.weights.lm, config.weight_decay) == (1.0, 1.0, 0.1)


def test_finetuning_is_one_epoch_of_the_papers_pairs() -> None:
    recipe = open_recipe("codepmp_qwen2_7b")
    config, (source,) = recipe["finetune"].config, recipe["preferences"].config.sources
    assert config.max_steps * config.prompts_per_step == source.max_rows == 40_000
    assert (config.learning_rate, config.weight_decay) == (3e-7, 0.0)


def test_both_sides_are_sampled_as_in_the_paper() -> None:
    recipe = open_recipe("codepmp_qwen2_7b")
    strong, weak = (recipe[side].config.llm for side in ("strong", "weak"))
    assert strong.sampling == weak.sampling
    assert (strong.sampling.temperature, strong.sampling.max_tokens) == (0.7, 1024)
    assert strong.endpoint.model.endswith("6.7b-instruct")
    assert weak.endpoint.model.endswith("1.3b-instruct")

from trainer.recipes import open_recipe
from trainer.training.finetune import FinetuneConfig
from trainer.training.pretrain import PretrainConfig


def test_the_strong_model_writes_what_is_chosen_and_the_weak_one_is_the_start() -> None:
    recipe = open_recipe("codepmp_smollm2")
    assert "Qwen2.5-Coder" in recipe["strong"].config.llm.endpoint.model
    assert recipe["describe"].config.llm.endpoint == recipe["strong"].config.llm.endpoint
    start: PretrainConfig = recipe["pretrain"].config
    assert recipe["weak"].config.llm.endpoint.model in start.start


def test_both_rounds_fit_into_one_adapter_of_the_release() -> None:
    recipe = open_recipe("codepmp_smollm2")
    first: PretrainConfig = recipe["pretrain"].config
    second: FinetuneConfig = recipe["finetune"].config
    assert first.lora
    assert second.lora
    assert first.lora.r + second.lora.r <= 16
    assert (first.weights.rank, first.weights.lm, second.weights.lm) == (1.0, 1.0, 0.0)

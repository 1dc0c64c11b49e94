from trainer.corpus.gather import CorpusConfig
from trainer.planning.run import training_run
from trainer.training.finetune import FinetuneConfig, Mix
from trainer.training.pretrain import PretrainConfig


def test_a_training_config_is_read_by_its_fields() -> None:
    config = PretrainConfig(
        start="base", pairs="hard_pairs", max_steps=7, prompts_per_step=4, learning_rate=1e-3
    )
    run = training_run(config)
    assert run
    assert (run.start, run.pairs, run.max_steps, run.prompts_per_step) == (
        "base",
        "hard_pairs",
        7,
        4,
    )
    assert (run.weights.rank, run.weights.lm) == (config.weights.rank, config.weights.lm)


def test_a_mixture_is_planned_by_its_first_source() -> None:
    mixture = (Mix("preferences"), Mix("hard_pairs"))
    config = FinetuneConfig(
        start="pretrain", mixture=mixture, prompts_per_step=8, learning_rate=1e-3
    )
    run = training_run(config)
    assert run
    assert run.pairs == "preferences"


def test_a_stage_that_does_not_train_has_no_run() -> None:
    assert training_run(CorpusConfig()) is None

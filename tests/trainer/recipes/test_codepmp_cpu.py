from trainer.recipes import open_recipe
from trainer.recipes.codepmp_cpu import weak_generator


def test_the_weak_model_is_smaller_trained_less_and_only_answers() -> None:
    recipe = open_recipe("codepmp_cpu")
    strong, weak = recipe["strong_lm"].config, recipe["weak_lm"].config
    assert weak == weak_generator()
    assert weak.shape.hidden_size < strong.shape.hidden_size
    assert weak.training.max_steps < strong.training.max_steps
    assert (strong.describes, weak.describes) == (True, False)


def test_models_are_prompted_with_the_templates_they_were_trained_on() -> None:
    recipe = open_recipe("codepmp_cpu")
    for name in ("strong", "weak"):
        trained = recipe[f"{name}_lm"].config
        assert recipe[name].config.template == trained.answer_template
        assert recipe[name].config.llm.endpoint.url == f"$CODEPMP_{name.upper()}_URL"
    assert recipe["describe"].config.template == recipe["strong_lm"].config.describe_template

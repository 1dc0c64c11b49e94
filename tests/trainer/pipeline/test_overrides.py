import pytest

from trainer.feedback.pair_rules import AceCode
from trainer.pipeline.overrides import overridden
from trainer.pipeline.stage import StageError, config_hash
from trainer.recipes import open_recipe
from trainer.training.config import LoraAdapters


def test_a_setting_lands_in_the_configs_hash() -> None:
    tiny = open_recipe("cpu_tiny")
    changed = overridden(
        tiny,
        [
            "pretrain.max_steps=50",
            "pretrain.weights.lm=0.5",
            'corpus.folders=["mine", "yours"]',
            "publish.version=2",
            "pretrain.bf16=false",
        ],
    )
    config = changed["pretrain"].config
    assert (config.max_steps, config.weights.lm, config.bf16) == (50, 0.5, False)
    assert changed["corpus"].config.folders == ("mine", "yours")
    assert changed["publish"].config.version == "2"
    assert config_hash(config) != config_hash(tiny["pretrain"].config)
    assert config_hash(changed["warmup"].config) == config_hash(tiny["warmup"].config)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("pretrain.max_steps=many", "valid integer"),
        ("pretrain.max_steps=1.5", "valid integer"),
        ("pretrain.max_step=50", "there is no field max_step; did you mean max_steps"),
        ("pretrian.steps=50", "cpu_tiny has no stage pretrian; did you mean pretrain"),
        ("pretrain.max_steps.more=50", "steps has no fields of its own"),
        ("pretrain=50", "write STAGE.FIELD=VALUE"),
        ("pretrain.max_steps", "write STAGE.FIELD=VALUE"),
    ],
)
def test_a_setting_that_names_nothing_or_no_value_is_told(setting: str, message: str) -> None:
    with pytest.raises(StageError, match=message):
        overridden(open_recipe("cpu_tiny"), [setting])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("votes_1.limits.cpu_seconds=0", "cpu_seconds is 0.0: a limit is a number above 0"),
        ('votes_1.limits={"cpu_seconds": -1}', "cpu_seconds is -1.0"),
        ('policy_pairs_1.rule={"kind": "pass_margin", "min_share": "x"}', "valid number"),
        ('policy_pairs_1.rule={"kind": ', "Invalid JSON"),
    ],
)
def test_a_value_of_many_parts_is_told_what_is_wrong_with_it(setting: str, message: str) -> None:
    with pytest.raises(StageError, match=message):
        overridden(open_recipe("code_dpo"), [setting])


def test_a_name_that_is_like_none_is_told_all_of_them() -> None:
    with pytest.raises(StageError, match="there is no field xyz; its fields are start, "):
        overridden(open_recipe("cpu_tiny"), ["pretrain.xyz=1"])


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("publish.version=1.10", "1.10"),
        ("publish.command=null", "null"),
        ("publish.command=", ""),
        ('publish.command="a b"', "a b"),
        ("publish.command={code}", "{code}"),
        ("publish.command=~", "~"),
        ("pretrain.learning_rate=1e-4", 1e-4),
        ("pretrain.max_steps=null", None),
        ("pretrain.end_token=null", None),
        ("pretrain.bf16=no", False),
        ("pretrain.lora={}", LoraAdapters()),
        ("pretrain.save_steps=1", 1),
    ],
)
def test_a_value_is_read_by_the_type_of_its_field(setting: str, value: object) -> None:
    changed = overridden(open_recipe("cpu_tiny"), [setting])
    stage, _, field = setting.partition("=")[0].partition(".")
    found = getattr(changed[stage].config, field)
    assert (found, type(found)) == (value, type(value))


def test_an_unknown_field_inside_of_a_value_is_refused() -> None:
    with pytest.raises(StageError, match="rnk: there is no field rnk; did you mean rank"):
        overridden(open_recipe("cpu_tiny"), ['pretrain.weights={"rnk": 1}'])


def test_the_name_of_a_kind_stands_for_its_defaults() -> None:
    changed = overridden(open_recipe("code_dpo"), ["policy_pairs_1.rule=ace_code"])
    assert changed["policy_pairs_1"].config.rule == AceCode()
    with pytest.raises(StageError, match="there is no kind ace_cod; did you mean ace_code"):
        overridden(open_recipe("code_dpo"), ["policy_pairs_1.rule=ace_cod"])

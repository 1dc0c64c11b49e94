"""Sizes of model, data and machine decide what a user left open; what he set stays."""

from pathlib import Path

import pytest

from tests.trainer.autoconfig.made import chat_model, pair_rows, write_rows
from trainer.autoconfig import base as bases
from trainer.autoconfig import data as files
from trainer.autoconfig.choice import Choices
from trainer.autoconfig.choices import choose
from trainer.autoconfig.machine import Machine
from trainer.autoconfig.workload import Workload
from trainer.pipeline.overrides import overridden
from trainer.pipeline.stage import StageError
from trainer.recipes import finetune


def machine(*, memory: float = 64e9, flops: float = 1e12, is_gpu: bool = False) -> Machine:
    return Machine("a machine", memory, flops, bf16=True, is_gpu=is_gpu)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Workload:
    folder = tmp_path_factory.mktemp("choices")
    base = bases.inspect_base(str(chat_model(folder / "chat")), weights=True)
    file = write_rows(folder / "rows.jsonl", pair_rows(400))
    data = files.read_data(file, base.encoder, name="data", kind="", named={}, max_pairs=4)
    return Workload(base, data, machine())


def on(work: Workload, device: Machine, hours: float = 0.0, *settings: str) -> Choices:
    given = frozenset(setting.partition("=")[0] for setting in settings)
    choices = Choices(overridden(finetune.recipe(), settings), given)
    choose(choices, Workload(work.base, work.data, device), hours, own_eval=False)
    return choices


def test_all_weights_are_trained_where_they_fit_and_nothing_where_nothing_does(
    work: Workload,
) -> None:
    roomy = on(work, machine())
    assert roomy.finetune.lora is None
    assert roomy.finetune.learning_rate == 3e-5
    assert roomy.finetune.gradient_accumulation_steps == 1
    # A step does not fit as a whole, but in parts; 0.7 of the memory is counted on.
    tight = on(work, machine(memory=work.memory(roomy.planned) / 0.7 - 1))
    assert tight.finetune.gradient_accumulation_steps > 1
    with pytest.raises(StageError, match=r"needs about .* GB to be trained like this"):
        on(work, machine(memory=1e9))


def test_on_a_slow_machine_the_steps_are_bounded_by_the_hours(work: Workload) -> None:
    slow = machine(flops=2e5)
    bounded, free = on(work, slow, 1.0), on(work, slow)
    assert bounded.finetune.lora
    assert bounded.finetune.max_steps is not None
    assert sum(bounded.seconds.values()) < 3 * 3600
    assert "--hours 0" in next(c.why for c in bounded.made if c.name == "max_steps")
    assert free.finetune.max_steps is None


def test_what_the_user_has_set_stays(work: Workload) -> None:
    chosen = on(work, machine(), 0.0, "finetune.learning_rate=0.5", "finetune.max_length=99")
    assert (chosen.finetune.learning_rate, chosen.finetune.max_length) == (0.5, 99)
    assert {c.name for c in chosen.made if c.why == "set by you"} == {
        "learning_rate",
        "max_length",
    }


def test_a_gpu_also_scores_what_is_held_out(work: Workload) -> None:
    recipe = on(work, machine(is_gpu=True)).recipe
    assert recipe["calibrate"].config.device == "cuda"
    assert recipe["evaluate"].config.device == "cuda"


def test_texts_that_do_not_fit_are_told_and_refused_where_none_does(work: Workload) -> None:
    longest = max(work.data.tokens)
    told = on(work, machine(), 0.0, f"finetune.max_length={longest - 1}")
    assert any("are left out and counted, never cut" in each for each in told.warnings)
    with pytest.raises(StageError, match=r"no pair of .* fits into 5 tokens"):
        on(work, machine(), 0.0, "finetune.max_length=5")


def test_prompts_of_the_evaluation_are_not_trained_on(work: Workload, tmp_path: Path) -> None:
    file = write_rows(tmp_path / "eval.jsonl", pair_rows(30))
    held = files.read_data(file, work.base.encoder, name="eval", kind="", named={}, max_pairs=4)
    data = work.data.without(held)
    assert len(data.rows) == 370
    assert data.notes[-1] == "left out: 30 prompts that --eval has, too"
    choices = Choices(finetune.recipe(), frozenset())
    with pytest.raises(StageError, match="0 different prompts that --eval does not have"):
        choose(choices, Workload(work.base, held.without(held), machine()), 0.0, own_eval=True)


def test_few_prompts_still_leave_some_for_each_part(work: Workload, tmp_path: Path) -> None:
    file = write_rows(tmp_path / "few.jsonl", pair_rows(24))
    data = files.read_data(file, work.base.encoder, name="data", kind="", named={}, max_pairs=4)
    choices = on(Workload(work.base, data, machine()), machine())
    sides = [choices.hold_out.split_of(group) for group in data.groups]
    assert min(sides.count("evaluation"), sides.count("calibration")) >= 4
    assert any("interval will be wide" in warning for warning in choices.warnings)

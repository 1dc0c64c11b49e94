import weakref
from dataclasses import dataclass
from pathlib import Path

import pytest

from trainer.pipeline.recipe import Recipe, Stage
from trainer.pipeline.running import run_recipe, run_stage
from trainer.pipeline.stage import StageError, read_manifest, writing_stage


@dataclass(frozen=True)
class Config:
    reads: tuple[str, ...] = ()
    seed: int = 1


def copy(config: Config, inputs: Path, output: Path) -> None:
    with writing_stage(config, output, reads=[inputs / name for name in config.reads]) as draft:
        (draft.path / "data.txt").write_text(str(config.seed))


RECIPE = Recipe(
    "small",
    {
        "first": Stage(copy, Config()),
        "second": Stage(copy, Config(("first",))),
        "third": Stage(copy, Config(("second",))),
    },
)


def ran(capsys: pytest.CaptureFixture[str]) -> list[str]:
    lines = capsys.readouterr().out.splitlines()
    return [line.partition(":")[0] for line in lines if "runs, because" in line]


def test_a_stage_leaves_no_memory_to_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.pipeline.running.MAX_GROWTH", -(1 << 50))
    left: list[weakref.ref[type]] = []

    def holds(config: Config, inputs: Path, output: Path) -> None:
        class Cycle:  # a class refers to itself
            pass

        left.append(weakref.ref(Cycle))

    def asks(config: Config, inputs: Path, output: Path) -> None:
        assert [each() for each in left] == [None]

    stages = {"first": Stage(holds, Config()), "second": Stage(asks, Config())}
    for stage in stages:
        run_stage(stage, Recipe("small", stages), tmp_path)


def test_what_a_stage_needs_of_the_user_is_asked_for_before_any_stage_runs(tmp_path: Path) -> None:
    def check(config: Config, work: Path) -> None:
        raise StageError(f"stage {config.seed} needs a file in {work.name}")

    stages = {**RECIPE.stages, "third": Stage(copy, Config(("second",), seed=3), check)}
    with pytest.raises(StageError, match=f"stage 3 needs a file in {tmp_path.name}"):
        run_recipe(Recipe("small", stages), tmp_path, None, None)
    assert not list(tmp_path.iterdir())


@dataclass(frozen=True)
class Reader:
    """Config of a stage that reads rows of one split of `first`."""

    reads: tuple[str, ...] = ("second",)
    seed: int = 1

    def splits(self, stage: str) -> tuple[str, ...]:
        return ("calibration",) if stage == "first" else ()


def read(config: Reader, inputs: Path, output: Path) -> None:
    copy(Config(config.reads), inputs, output)


def test_an_empty_split_that_a_late_stage_reads_stops_the_run_before_the_stages_between(
    tmp_path: Path,
) -> None:
    recipe = Recipe("small", {**RECIPE.stages, "third": Stage(read, Reader())})
    with pytest.raises(StageError, match="calibration split of first is empty: raise calibration_"):
        run_recipe(recipe, tmp_path, None, None)
    assert (tmp_path / "first").exists()
    assert not (tmp_path / "second").exists()
    # Nothing is asked on behalf of a stage that is not to run.
    run_recipe(recipe, tmp_path, None, "second")
    assert (tmp_path / "second").exists()


def test_only_stages_that_are_not_up_to_date_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_recipe(RECIPE, tmp_path, None, None)
    assert ran(capsys) == ["first", "second", "third"]
    run_recipe(RECIPE, tmp_path, None, None)
    assert ran(capsys) == []
    run_recipe(RECIPE.changed("second", seed=2), tmp_path, None, None)
    assert ran(capsys) == ["second", "third"]


def test_a_part_of_the_stages_runs_and_needs_what_came_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StageError, match="run `python -m trainer first` first"):
        run_recipe(RECIPE, tmp_path, "second", "second")
    capsys.readouterr()
    run_recipe(RECIPE, tmp_path, None, "second")
    assert ran(capsys) == ["first", "second"]
    assert not (tmp_path / "third").exists()


def test_a_stage_that_is_named_runs_even_if_it_is_up_to_date(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_stage("first", RECIPE, tmp_path)
    run_stage("first", RECIPE, tmp_path)
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in printed] == ["started", "done"] * 2
    assert read_manifest(tmp_path / "first")["config"] == {"reads": [], "seed": 1}

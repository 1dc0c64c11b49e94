"""What a person at the command line sees."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.releases import make_release
from tests.trainer.training.stages import make_base, make_pairs, rows
from trainer.cli import main
from trainer.pipeline.stage import read_manifest
from trainer.pipeline.stages import STAGES
from trainer.recipes import RECIPES


def test_help_names_every_stage_tool_and_recipe_and_costs_no_torch() -> None:
    script = "import sys; from trainer.cli import parser; print(parser().format_help())\n"
    script += "print(sorted(sys.modules.keys() & {'torch', 'transformers', 'scipy'}))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    words = run.stdout.split()
    assert {*STAGES, *RECIPES, "run", "plan", "doctor", "show", "verify", "push"} <= set(words)
    assert words[-1] == "[]"


@pytest.mark.parametrize("command", ["pretrain", "run", "plan", "doctor", "show", "grade", "push"])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"trainer {command}" in capsys.readouterr().out


def test_a_plan_in_place_of_a_run_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["--recipe", "codepmp_qwen2_7b", "--work", str(tmp_path), "--gpus", "64", "--dry-run"]
    assert main(["run", *run]) == 0
    assert main(["pretrain", *run]) == 0
    printed = capsys.readouterr().out
    assert "N = 7,615,616,512" in printed
    assert "64 x H200" in printed
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_is_a_line_and_a_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["--recipe", "cpu_tiny", "--work", str(tmp_path)]
    assert main(["pairs", *run]) == 1
    assert "run `python -m trainer corpus` first" in capsys.readouterr().err
    assert main(["pairs", *run, "--set", "pairs.seed=x"]) == 1
    assert capsys.readouterr().err.startswith("trainer pairs: --set pairs.seed=x: ")
    assert main(["hard_pairs", "--recipe", "codepmp_qwen2_7b", "--work", str(tmp_path)]) == 1
    assert "has no stage hard_pairs" in capsys.readouterr().err


def test_a_stage_of_a_round_is_named_like_any_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["samples_2", "--recipe", "cpu_tiny", "--work", str(tmp_path)]) == 1
    assert "trainer samples_2: the recipe cpu_tiny has no stage" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_a_line_and_a_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = '{"prompt": "p", "chosen": "a", "rejected": "b"}'
    (tmp_path / "preferences.jsonl").write_text(row)
    (tmp_path / ".preferences.partial").write_text("a file where a folder should be")
    assert main(["preferences", "--recipe", "finetune", "--work", str(tmp_path)]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"trainer preferences: {tmp_path / '.preferences.partial'}: ")


def test_the_doctor_examines_what_finetune_would_read_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    doctor = ["doctor", "--recipe", "codepmp_cpu", "--work", str(tmp_path)]
    assert main(doctor) == 1
    assert "run `python -m trainer hard_pairs` first" in capsys.readouterr().err
    make_base(tmp_path / "pretrain")
    make_pairs(tmp_path / "hard_pairs", rows(8), rows(4, "held-out"))
    assert main(doctor) == 0
    printed = capsys.readouterr().out
    assert "held out" in printed
    assert "fatal" not in printed
    make_pairs(tmp_path / "hard_pairs", rows(8), rows(4))
    assert main(doctor) == 1
    assert "held out" in capsys.readouterr().err
    assert {folder.name for folder in tmp_path.iterdir()} == {"pretrain", "hard_pairs"}


def test_the_doctor_says_what_it_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--recipe", "cpu_tiny", "--work", str(tmp_path)]) == 1
    assert "cpu_tiny has no such stage: choose a recipe that finetunes" in capsys.readouterr().err


def test_what_is_set_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "--recipe", "cpu_tiny", "--set", "pretrain.max_steps=50"]) == 0
    assert "  max_steps: 50" in capsys.readouterr().out.splitlines()


def test_a_recipe_of_ones_own_is_run_like_any_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("extends: finetune\npreferences: {seed: 7}\n")
    row = '{"prompt": "p%d", "chosen": "a", "rejected": "b"}\n'
    (tmp_path / "preferences.jsonl").write_text("".join(row % n for n in range(200)))
    run = ["run", "--recipe", str(file), "--work", str(tmp_path), "--to", "preferences"]
    assert main(run) == 0
    assert read_manifest(tmp_path / "preferences")["config"]["seed"] == 7
    capsys.readouterr()
    # A change of the file makes the stage run again.
    file.write_text("extends: finetune\npreferences: {seed: 8}\n")
    assert main(run) == 0
    assert "preferences: runs, because its config has changed: seed 7 -> 8" in (
        capsys.readouterr().out
    )


def test_the_code_of_a_recipe_that_fails_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def recipe():\n    return [][0]\n")
    assert main(["show", "--recipe", str(file)]) == 1
    *trace, last = capsys.readouterr().err.splitlines()
    assert last == f"trainer show: {file}, line 2: IndexError: list index out of range"
    assert trace[0].startswith("Traceback")
    assert any("return [][0]" in line for line in trace)


def test_a_name_that_is_no_recipe_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["show", "--recipe", "finetun"])
    assert ended.value.code == 2
    assert "there is no recipe finetun; did you mean finetune" in capsys.readouterr().err


def test_what_is_quiet_prints_errors_only(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    work = ["--recipe", "finetune", "--work", str(tmp_path), "--quiet"]
    assert main(["preferences", *work]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    row = '{"prompt": "p%d", "chosen": "a", "rejected": "b"}\n'
    (tmp_path / "preferences.jsonl").write_text("".join(row % n for n in range(200)))
    assert main(["preferences", *work]) == 0
    assert capfd.readouterr() == ("", "")


def test_a_program_reads_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def printed(*command: str) -> Any:
        assert main([*command, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    shown = printed("show", "--recipe", "cpu_tiny", "--set", "pretrain.max_steps=7")
    assert shown["pretrain"]["max_steps"] == 7
    plans = printed("plan", "--recipe", "codepmp_qwen2_7b")
    assert next(each for each in plans if each["stage"] == "pretrain")["flops"] > 1e18
    release = make_release(tmp_path / "release")
    assert printed("verify", str(release)) == {"name": "test-rm", "version": "1", "verified": True}


def test_a_reader_that_has_enough_ends_it_without_a_word() -> None:
    command = f"{sys.executable} -m trainer show --recipe pfpo | head -1"
    run = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)  # noqa: S602
    assert (run.stdout, run.stderr) == ("extends: pfpo\n", "")


def test_a_missing_package_names_the_command_that_installs_it(tmp_path: Path) -> None:
    """Seen by an interpreter that has hidden it."""
    script = "import sys; sys.modules['datasketch'] = None\n"
    script += "from trainer.cli import main\n"
    script += f"sys.exit(main(['corpus', '--recipe', 'cpu_tiny', '--work', {str(tmp_path)!r}]))"
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert run.stderr == (
        "trainer corpus: datasketch is not installed: run scripts/install trainer\n"
    )


def test_a_release_is_verified_and_pushed_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    release, target = make_release(tmp_path / "release"), str(tmp_path / "models" / "tiny")
    assert main(["push", str(release), target]) == 0
    assert capsys.readouterr().out.startswith("pushed test-rm 1 to ")
    assert main(["verify", target]) == 0
    assert "test-rm 1: every file" in capsys.readouterr().out
    shutil.rmtree(release)
    assert main(["push", str(release), target]) == 1
    assert "no such directory" in capsys.readouterr().err

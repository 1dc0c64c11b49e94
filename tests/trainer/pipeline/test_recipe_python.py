"""A Python file's mistakes are told with its own line."""

from dataclasses import replace
from pathlib import Path

import pytest

from trainer.cli import main
from trainer.pipeline.recipe import Recipe
from trainer.pipeline.stage import StageError
from trainer.recipes import open_recipe

GOOD = """
from neighbour import RATE
from trainer.recipes.finetune import recipe as finetune

def recipe():
    return finetune().changed("finetune", learning_rate=RATE)
"""

OWN_STAGE = """
from dataclasses import dataclass
from pathlib import Path
from trainer.pipeline.recipe import Recipe, Stage

@dataclass(frozen=True)
class ShoutConfig:
    word: str = "a"

def run(config: ShoutConfig, inputs: Path, output: Path) -> None:
    print(config.word + "!")

def recipe() -> Recipe:
    return Recipe("mine", {"shout": Stage(run, ShoutConfig())})
"""


def opened(folder: Path, text: str) -> Recipe:
    (folder / "mine.py").write_text(text)
    return open_recipe(str(folder / "mine.py"))


def test_a_file_may_change_a_recipe_and_import_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "neighbour.py").write_text("RATE = 0.5\n")
    recipe = opened(tmp_path, GOOD)
    assert recipe["finetune"].config.learning_rate == 0.5
    assert recipe["publish"].config.command == "python -m trainer run --recipe mine.py --work WORK"
    (tmp_path / "over.yaml").write_text("extends: mine.py\nfinetune: {max_steps: 3}\n")
    over = open_recipe(str(tmp_path / "over.yaml"))["finetune"].config
    assert (over.learning_rate, over.max_steps) == (0.5, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", r"mine.py has no function recipe\(\)"),
        ("recipe = 1", r"mine.py has no function recipe\(\)"),
        ("def recipe():\n    return {}", r"recipe\(\) returned a dict: return a Recipe"),
        ("def recipe(x): pass", "without arguments: missing a required argument: 'x'"),
        ("def recipe(:", "mine.py, line 1: invalid syntax"),
        ("import sys\nsys.exit(0)", "mine.py ends the process by itself"),
        ("\nimport no_such_package", "line 2: ModuleNotFoundError: No module named 'no_such_p"),
        (
            "from trainer.pipeline.recipe import Recipe\n"
            "def recipe():\n    return Recipe('a', {'b': 3})",
            "mine.py: its stage b is no Stage",
        ),
        (
            "from trainer.recipes.finetune import recipe as r\n"
            "def recipe():\n    return r().changed('publish', name='a/b')",
            "mine.py, line 3: a release cannot have the name 'a/b'",
        ),
    ],
)
def test_a_mistake_is_a_sentence(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(StageError, match=message):
        opened(tmp_path, text)


def test_an_error_of_the_files_code_keeps_its_own_frames(tmp_path: Path) -> None:
    text = "def recipe():\n    return helper()\n\ndef helper():\n    return 1 / 0\n"
    with pytest.raises(StageError, match=r"mine\.py, line 5: ZeroDivisionError: division") as error:
        opened(tmp_path, text)
    (note,) = error.value.__notes__
    assert "line 2, in recipe" in note
    assert "line 5, in helper" in note
    assert "recipe_python" not in note


def test_a_stage_of_its_own_has_one_class_of_config_however_often_it_is_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = opened(tmp_path, OWN_STAGE)
    (tmp_path / "over.yaml").write_text("extends: mine.py\nshout: {word: b}\n")
    over = open_recipe(str(tmp_path / "over.yaml"))
    assert over["shout"].config == replace(recipe["shout"].config, word="b")
    file = str(tmp_path / "over.yaml")
    assert main(["shout", "--recipe", file, "--work", str(tmp_path)]) == 0
    assert "b!" in capsys.readouterr().out.splitlines()


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"none\.py is no file"):
        open_recipe(str(tmp_path / "none.py"))

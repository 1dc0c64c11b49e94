"""A recipe as a Python file with a function `recipe()`, which calls another one and changes it."""

import dataclasses
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from reward_model.release.release import sha256
from trainer.pipeline.recipe import Recipe, Stage
from trainer.pipeline.stage import StageError


def python_recipe(file: Path) -> Recipe:
    """Import a file and call its `recipe()`.

    Raises:
        StageError: there is no such function, it fails, or it returns something else. The message
            has file and line; where the file's code is at fault, a note has its traceback.
    """
    module = _imported(file)
    function = getattr(module, "recipe", None)
    if not callable(function):
        raise StageError(f"{file} has no function recipe(): define one that returns a Recipe")
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        raise StageError(f"{file}: recipe() is called without arguments: {error}") from error
    recipe = _guarded(file, function)
    if not isinstance(recipe, Recipe):
        found = type(recipe).__name__
        raise StageError(f"{file}: recipe() returned a {found}: return a Recipe")
    for name, stage in recipe.stages.items():
        entry: object = stage  # the file may be without types
        if not isinstance(entry, Stage) or not dataclasses.is_dataclass(entry.config):
            raise StageError(f"{file}: its stage {name} is no Stage of a function and a config")
    return recipe


def _imported(file: Path) -> ModuleType:
    if not file.is_file():
        raise StageError(f"{file} is no file")
    # A name that no other module has, and the same for the same content: a recipe that is opened
    # twice, by a YAML file that extends it, has one class for each of its configs.
    name = f"trainer_recipe_{sha256(file)}_{file.stem}"
    known = sys.modules.get(name)
    if known is not None and known.__file__ == str(file.resolve()):
        return known
    spec = importlib.util.spec_from_file_location(name, file.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up the module that they are defined in
    # The file may import its neighbours. The folder comes last: a neighbour hides no package.
    folder = str(file.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    loader = spec.loader
    try:
        _guarded(file, lambda: loader.exec_module(module))
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _guarded(file: Path, code: Callable[[], object]) -> object:
    """Call the file's code; an error of it becomes one sentence, with its traceback as a note."""
    try:
        return code()
    except SystemExit as error:
        # It would end the command as if all were well.
        raise StageError(f"{file} ends the process by itself: let it return a Recipe") from error
    except SyntaxError as error:
        where = f"{error.filename or file}, line {error.lineno or 1}"
        raise StageError(f"{where}: {error.msg}: {(error.text or '').strip()}") from error
    except Exception as error:
        frames = list(traceback.walk_tb(error.__traceback__))
        own = [index for index, (frame, _) in enumerate(frames) if _is_in(file, frame.f_code)]
        if not own:
            raise  # of this code, or the file could not be read
        where = f"{file}, line {frames[own[-1]][1]}"
        if isinstance(error, StageError):
            # A config has refused a value, and says what to do.
            raise StageError(f"{where}: {error}") from error
        mistake = StageError(f"{where}: {type(error).__name__}: {error}")
        # The frames above the file's first are of the command line, and tell its author nothing.
        report = traceback.TracebackException.from_exception(error)
        report.stack = traceback.StackSummary.from_list(list(report.stack)[own[0] :])
        mistake.add_note("".join(report.format()).rstrip())
        raise mistake from error


def _is_in(file: Path, code: object) -> bool:
    return Path(getattr(code, "co_filename", "")).resolve() == file.resolve()

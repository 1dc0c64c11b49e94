"""One run of a program, in the process that ends with it.

Everything here happens behind the walls and under the limits: compiling too, because a source can
be a bomb. The process is the program's own, so what it tells is only a claim. A claimed value is
as good as a returned one, since what is expected is not here; a claimed failure harms nobody
else; and a claim of anything that would help the program does not exist.

This module imports only the standard library and its neighbours.
"""

import atexit
import gc
import io
import os
import site
import sys
import threading
import types
from typing import NoReturn

from trainer.feedback.sandbox import values
from trainer.feedback.sandbox.types import Input, Program

# Running what a model wrote is what this process is for; it has nothing else to lose.
run_in, value_in = exec, eval

FILE = "program.py"
"""What a program is told that it is called; there is no such file."""


class Teller:
    """The descriptor on which a run tells what came of it, and the nonce of its messages."""

    def __init__(self, descriptor: int, nonce: str) -> None:
        self.descriptor = descriptor
        self.nonce = nonce

    def tell(self, status: str, text: str = "") -> None:
        """Write one message: nonce, status, and a value or the name of an error."""
        message = f"{self.nonce} {status} {text}\n".encode("utf-8", "replace")
        while message:
            message = message[os.write(self.descriptor, message) :]


def run(program: Program, given: Input, teller: Teller) -> NoReturn:
    """Run a program on descriptors 0 and 1 and end the process.

    A script is OK if the process exits with 0, as for a shell. For a function that would be no
    proof of anything: it is OK only if the value, or the end of the check, has been told.
    """
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, "r")), "utf-8", "surrogateescape")
    stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w")), "utf-8", "surrogateescape")
    sys.stdout = sys.__stdout__ = stdout  # type: ignore[misc]
    # As an interpreter has them: ready-made readers and writers of contests ask for the modes.
    sys.stdin.mode, stdout.mode = "r", "w"  # type: ignore[misc]
    sys.argv = [FILE]
    site.setquit()  # `exit()` ends many scripts, and an interpreter without `site` has none
    spare = bytes(1 << 20)  # address space for the message that there is no memory
    script = not program.entry_point and not given.check
    status, text, code = "exception", "", 1
    try:
        status, text = _execute(program, given, script)
        code = int(status != "ok")
    except SystemExit as exit_:
        text = "SystemExit"
        code = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    except MemoryError:
        del spare
        gc.collect()
        status, text = "memory", "MemoryError"
    except values.TooLarge:
        status, text = "output_limit", "the value has too many parts"
    except values.NotPlain as error:
        text = f"not plain data: {error}"
    except BaseException as error:  # noqa: BLE001 - whatever a program raises ends its run
        text = type(error).__name__
    if script and (code == 0 or text == "SystemExit"):
        _finish()
    try:
        for stream in (stdout, sys.stdout):
            if not getattr(stream, "closed", stream is None):
                stream.flush()
    except BaseException as error:  # noqa: BLE001 - the stream may be the program's own
        status, text, code = "exception", type(error).__name__, 1
    if not script or code != 0:
        teller.tell(status, text)
    os._exit(code & 0xFF)


def _finish() -> None:
    """Do what an interpreter does at the end of a script: wait for threads, then atexit."""
    shutdown = getattr(threading, "_shutdown", None)
    if shutdown is not None:
        shutdown()
    atexit._run_exitfuncs()


def _execute(program: Program, given: Input, script: bool) -> tuple[str, str]:
    """Status and wire form of the value. Raises what the program raises."""
    try:
        setup = compile(program.setup, "<setup>", "exec", dont_inherit=True)
        # A file may begin with a byte order mark, which `compile` refuses in a text.
        source = program.code.lstrip("\ufeff")
        code = compile(source, "<program>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        return "compile", type(error).__name__
    # Code below a main guard is what a script does. In a file with a function that is asked for
    # it is a demonstration, which may read input that nobody gives, so there it does not run.
    module = types.ModuleType("__main__" if script else "solution")
    sys.modules[module.__name__] = module
    names = module.__dict__
    run_in(setup, names)
    if script:
        names["__file__"] = FILE
        run_in(code, names)
        return "ok", ""
    if given.check:
        check = compile(given.check, "<check>", "exec", dont_inherit=True)
        run_in(code, names)
        run_in(check, names)
        return "ok", values.encode(None)
    arguments = value_in(compile(given.arguments, "<arguments>", "eval"), names)
    keywords = value_in(compile(given.keywords, "<keywords>", "eval"), names)
    run_in(code, names)
    owner, _, method = program.entry_point.rpartition(".")
    function = getattr(names[owner](), method) if owner else names[method]
    return "ok", values.encode(function(*arguments, **keywords))

"""What a sandbox is given, and what it tells: programs, inputs, limits and outcomes."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, Self


class Status(StrEnum):
    """How a run ended. Only a run that ended `OK` has an output.

    `INFRASTRUCTURE` says that the sandbox failed, and tells nothing about the program: it is
    retried, counted apart, and never a label.
    """

    OK = "ok"
    EXCEPTION = "exception"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT_LIMIT = "output_limit"
    COMPILE = "compile"
    INFRASTRUCTURE = "infrastructure"


@dataclass(frozen=True)
class Program:
    """A Python program.

    Attributes:
        code: its source.
        entry_point: the function that every input calls, or `Class.method` of an instance that is
            made without arguments; empty for a script, which reads its standard input.
        setup: source that runs before `code` in the same namespace, such as imports.
    """

    code: str
    entry_point: str = ""
    setup: str = ""


@dataclass(frozen=True)
class Input:
    """The input of one run. It never holds what is expected.

    Attributes:
        stdin: standard input.
        arguments: Python expression of a tuple, the positional arguments of the entry point. It is
            evaluated in the sandbox, after the setup and before the code.
        keywords: Python expression of a dict, its keyword arguments.
        check: statements that run after the code, as a compile unit of their own, in place of a
            call of the entry point. The run is OK only if their end was reached.
    """

    stdin: str = ""
    arguments: str = "()"
    keywords: str = "{}"
    check: str = ""


@dataclass(frozen=True)
class Limits:
    """Limits of one run.

    Attributes:
        cpu_seconds: CPU time, which decides; it does not depend on what else the machine does.
        wall_seconds: the limit behind it, for a program that sleeps.
        memory_bytes: address space of each process.
        output_bytes: bytes on standard output, and apart from that of a returned value.
        processes: processes and threads at a time.
        file_bytes: size of a file, and of all files together.
        open_files: descriptors of each process.
    """

    cpu_seconds: float = 4.0
    wall_seconds: float = 20.0
    memory_bytes: int = 1 << 30
    output_bytes: int = 1 << 20
    processes: int = 16
    file_bytes: int = 16 << 20
    open_files: int = 64

    def __post_init__(self) -> None:
        """Raise ValueError for limits that no program could keep: every verdict would be theirs."""
        for name, value in vars(self).items():
            if not 0 < value < float("inf"):
                raise ValueError(f"{name} is {value}: a limit is a number above 0")


@dataclass(frozen=True)
class Outcome:
    """The outcome of one run.

    Attributes:
        stdout: what was printed, up to the limit.
        value: the entry point's return value, as `trainer.feedback.sandbox.values` writes it; empty
            for a script.
        error: the type of the exception, or another few words for people. Never a verdict.
        cpu_seconds: CPU time of the run with all its processes.
        peak_memory: largest resident set of its main process, in bytes; 0 where it is not known.
    """

    status: Status
    stdout: str = ""
    value: str = ""
    error: str = ""
    cpu_seconds: float = 0.0
    peak_memory: int = 0


class Sandbox(Protocol):
    """Runs programs. Several threads may call `run`, each run has a worker of its own.

    Attributes:
        isolation: name of the walls, for manifests: `bubblewrap`, `sandbox_fusion` or `none`.
        workers: how many threads it serves at full speed.
    """

    isolation: str
    workers: int

    def run(self, program: Program, inputs: list[Input], limits: Limits) -> list[Outcome]:
        """Run the program on each input, every time in a fresh process; outcomes in order."""
        ...

    def close(self) -> None:
        """End all processes."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

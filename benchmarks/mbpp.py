"""MBPP problems, and whether a program passes one's asserts, run in a process of its own."""

import ast
import gzip
import json
import os
import resource
import secrets
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

_SECONDS = 4
_MEMORY = 1 << 30


@dataclass(frozen=True)
class Problem:
    """A request, its reference solution (normalised) and the asserts that judge solutions."""

    id: int
    prompt: str
    reference: str
    setup: str
    asserts: tuple[str, ...]


def read_problems(folder: Path) -> list[Problem]:
    """All problems whose reference parses."""
    with gzip.open(folder / "mbpp.jsonl.gz", "rt", encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream]
    return [
        Problem(
            row["task_id"],
            row["text"],
            normalise(row["code"]),
            row["test_setup_code"],
            tuple(row["test_list"]),
        )
        for row in rows
    ]


def normalise(code: str) -> str:
    """One formatting for all, without docstrings, so that layout says nothing."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.Module) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def passes(program: str, problem: Problem) -> bool:
    """Whether the program meets every assert in time.

    It runs isolated from our environment and packages, with bounds on time, memory and files, and
    passes only when it comes to print a word it cannot know. The mutants run here are one edit away
    from known code; programs that somebody else wrote need a real sandbox.
    """
    word = secrets.token_hex(16)
    lines = [problem.setup, program, *problem.asserts, f"print({word!r})"]
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={},
            start_new_session=True,
            preexec_fn=_bound,
        )
        try:
            output, _ = process.communicate("\n".join(lines).encode(), timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return False
    return process.returncode == 0 and output.decode(errors="replace").rstrip().endswith(word)


def _bound() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

"""Snippet -> Candidates: the real function as chosen, and rejected answers made from source alone.

The embedded maker needs no language model, and knows Python alone. Each kind of rejected answer is
wrong in a way of its own, and is reported apart: `mutant` (one behaviour-bearing node changed),
`truncated` (the end is missing), `repeated` (degenerate repetition), `other_function` (a real
function, but of another request) and `other_body` (this signature over another function's body).
"""

import ast
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from trainer.corpus.snippet import Snippet
from trainer.pairs.mutants import mutants
from trainer.pairs.row import Rejected


@dataclass(frozen=True)
class GenerateConfig:
    """How many rejected candidates of each kind are tried for each prompt."""

    mutants: int = 3
    truncated: int = 1
    repeated: int = 1
    other_functions: int = 1
    other_bodies: int = 1


def can_mutate(snippet: Snippet) -> bool:
    """Whether it is a language that the embedded maker can take apart."""
    return snippet.language == "python"


def rejected(
    snippet: Snippet,
    others: list[Snippet],
    config: GenerateConfig,
    seed: str,
    counts: Counter[str],
) -> list[Rejected]:
    """Rejected answers for a snippet's prompt; `others` lend their bodies.

    `counts` says how many of those were passed over.
    """
    rng = random.Random(seed)
    source = snippet.source
    strangers = rng.choices(others, k=config.other_functions + config.other_bodies)
    whole, lent = strangers[: config.other_functions], strangers[config.other_functions :]
    made = [Rejected("mutant", text) for text in mutants(source, config.mutants, seed)]
    made += [Rejected("truncated", _truncate(source, rng)) for _ in range(config.truncated)]
    made += [Rejected("repeated", _repeat(source, rng)) for _ in range(config.repeated)]
    made += [Rejected("other_function", o.source) for o in _wrong(whole, snippet, counts)]
    made += [
        Rejected("other_body", _graft(source, o.source)) for o in _wrong(lent, snippet, counts)
    ]
    return made


def _wrong(others: list[Snippet], snippet: Snippet, counts: Counter[str]) -> Iterator[Snippet]:
    """Those that are no answer. One that the same docstring describes may well be a right one."""
    for other in others:
        if snippet.docstring and other.docstring == snippet.docstring:
            counts["other function: same description"] += 1
        else:
            yield other


def _truncate(source: str, rng: random.Random) -> str:
    """Cut the text anywhere in its last two thirds, or leave out the last statements."""
    if rng.random() < 0.5:
        return source[: rng.randrange(len(source) // 3, len(source) - 1)].rstrip()
    tree = _function(source)
    kept = rng.randrange(len(tree.body))
    tree.body = tree.body[:kept] or [ast.Pass()]
    return ast.unparse(tree)


def _repeat(source: str, rng: random.Random) -> str:
    """Get stuck: a block of one to three lines comes two to five times."""
    lines = source.split("\n")
    start = rng.randrange(1, len(lines))
    block = lines[start : start + rng.randint(1, 3)]
    repeated = lines[:start] + block * rng.randint(2, 5)
    tail = lines[start + len(block) :] if rng.random() < 0.5 else []
    return "\n".join(repeated + tail)


def _graft(source: str, other: str) -> str:
    tree = _function(source)
    tree.body = _function(other).body
    return ast.unparse(tree)


def _function(source: str) -> ast.FunctionDef:
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef), "a snippet is one function"
    return function

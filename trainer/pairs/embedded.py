"""Snippet -> rejected answers to its request, made from source code alone.

The embedded maker needs no language model, and knows only Python. Each kind of rejected answer is
wrong in its own way, and is reported separately: `mutant` (one behaviour-bearing node changed),
`truncated` (the end is missing), `repeated` (degenerate repetition), `other_function` (a real
function, but of another request) and `other_body` (this signature over another function's body).
"""

import ast
import random
from collections import Counter
from dataclasses import dataclass

from trainer.corpus.snippet import Snippet
from trainer.pairs.mutants import mutants
from trainer.pairs.row import Rejected


@dataclass(frozen=True)
class RejectedConfig:
    """Number of rejected answers of each kind that are tried for each prompt."""

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
    config: RejectedConfig,
    seed: str,
    counts: Counter[str],
) -> list[Rejected]:
    """Rejected answers for a snippet's prompt; `others` lend their bodies.

    `counts` gets the number of others that were passed over.
    """
    rng = random.Random(seed)
    source = snippet.source
    lenders = rng.choices(others, k=config.other_functions + config.other_bodies)
    made = [Rejected("mutant", text) for text in mutants(source, config.mutants, seed)]
    made += [Rejected("truncated", truncate(source, rng)) for _ in range(config.truncated)]
    made += [Rejected("repeated", repeat(source, rng)) for _ in range(config.repeated)]
    for number, other in enumerate(lenders):
        # A function with the same docstring may well be a right answer.
        if snippet.docstring and other.docstring == snippet.docstring:
            counts["other function: same description"] += 1
        elif number < config.other_functions:
            made.append(Rejected("other_function", other.source))
        else:
            tree = parse_function(source)
            tree.body = parse_function(other.source).body
            made.append(Rejected("other_body", ast.unparse(tree)))
    return made


def truncate(source: str, rng: random.Random) -> str:
    """Cut the text anywhere in its last two thirds, or leave out the last statements."""
    # Half of them break off within a statement, as an answer does that reaches its token limit.
    if rng.random() < 0.5:
        return source[: rng.randrange(len(source) // 3, len(source) - 1)].rstrip()
    tree = parse_function(source)
    kept = rng.randrange(len(tree.body))
    tree.body = tree.body[:kept] or [ast.Pass()]
    return ast.unparse(tree)


def repeat(source: str, rng: random.Random) -> str:
    """Get stuck as a generator does: one to three lines come two to five times."""
    lines = source.split("\n")
    start = rng.randrange(1, len(lines))
    block = lines[start : start + rng.randint(1, 3)]
    repeated = lines[:start] + block * rng.randint(2, 5)
    tail = lines[start + len(block) :] if rng.random() < 0.5 else []
    return "\n".join(repeated + tail)


def parse_function(source: str) -> ast.FunctionDef:
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef), "a snippet is one function"
    return function

"""The code that a parser cuts out of a file, and which functions are not worth cutting out."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fragment:
    """A function or a whole file; `Snippet` documents the attributes."""

    name: str
    signature: str
    docstring: str
    source: str


def reason_to_drop(name: str, nodes: int, min_nodes: int) -> str | None:
    """Why a function teaches nothing about right and wrong code, or None.

    Args:
        nodes: size of its body's syntax tree; counting may stop at `min_nodes`.
        min_nodes: smallest body that is kept. It depends on the parser.
    """
    if name.startswith("__"):
        return "dunder"  # boilerplate
    if name.startswith("test"):
        return "test"
    return "too small" if nodes < min_nodes else None

"""What a file is cut into, and which functions are not worth cutting out."""

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class Fragment:
    """A function or a whole file; `Snippet` says what the attributes hold."""

    name: str
    signature: str
    docstring: str
    source: str


def worthless(name: str, nodes: int, least: int, counts: Counter[str]) -> bool:
    """Stubs, boiler-plate and one-liners teach nothing about right and wrong; each is counted.

    Args:
        nodes: of its body's syntax tree, or `least` where there are more.
        least: nodes of a body that says something, which is a matter of the parser.
    """
    if name.startswith("__"):
        counts["dunder"] += 1
    elif name.startswith("test"):
        counts["test"] += 1
    elif nodes < least:
        counts["too small"] += 1
    else:
        return False
    return True

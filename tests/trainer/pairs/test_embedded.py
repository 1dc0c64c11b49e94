import ast
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from trainer.corpus.snippet import Snippet
from trainer.pairs.embedded import RejectedConfig, rejected

SOURCE = "def add(a, b):\n    total = a + b\n    print(total)\n    return total"
OTHER = "def area(width, height):\n    side = width * height\n    return side"


def snippet(name: str, source: str) -> Snippet:
    return Snippet(name, "p", "MIT", "p.py", name, f"{name}()", "", source)


MINE, STRANGER = snippet("add", SOURCE), snippet("area", OTHER)


@given(st.text(max_size=6))
def test_each_kind_is_wrong_in_its_own_way(seed: str) -> None:
    made = {c.kind: c.text for c in rejected(MINE, [STRANGER], RejectedConfig(), seed, Counter())}
    assert set(made) == {"mutant", "truncated", "repeated", "other_function", "other_body"}
    assert made["other_function"] == OTHER
    assert made["other_body"].startswith("def add(a, b):\n    side =")
    assert len(made["truncated"]) < len(SOURCE)
    assert (
        len(made["repeated"]) > len(SOURCE) or "\n".join(made["repeated"].split("\n")[:2]) in SOURCE
    )
    ast.parse(made["mutant"])

import ast
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from trainer.corpus.snippet import Snippet
from trainer.pairs.embedded import GenerateConfig, rejected
from trainer.pairs.filter import usable
from trainer.pairs.row import Rejected

SOURCE = "def add(a, b):\n    total = a + b\n    print(total)\n    return total"
OTHER = "def area(width, height):\n    side = width * height\n    return side"


def snippet(name: str, source: str) -> Snippet:
    return Snippet(name, "p", "MIT", "p.py", name, f"{name}()", "", source)


MINE, STRANGER = snippet("add", SOURCE), snippet("area", OTHER)


@given(st.text(max_size=6))
def test_each_kind_is_wrong_in_its_own_way(seed: str) -> None:
    made = {c.kind: c.text for c in rejected(MINE, [STRANGER], GenerateConfig(), seed, Counter())}
    assert set(made) == {"mutant", "truncated", "repeated", "other_function", "other_body"}
    assert made["other_function"] == OTHER
    assert made["other_body"].startswith("def add(a, b):\n    side =")
    assert len(made["truncated"]) < len(SOURCE)
    assert (
        len(made["repeated"]) > len(SOURCE) or "\n".join(made["repeated"].split("\n")[:2]) in SOURCE
    )
    ast.parse(made["mutant"])


def test_unusable_candidates_are_counted_under_their_reason() -> None:
    counts: Counter[str] = Counter()
    kept = usable(
        SOURCE,
        [
            Rejected("mutant", SOURCE.replace("    ", "  ")),
            Rejected("truncated", "  "),
            Rejected("mutant", OTHER),
            Rejected("repeated", OTHER),
            Rejected("repeated", "x" * 300),
        ],
        max_characters=200,
        counts=counts,
    )
    assert [candidate.text for candidate in kept] == [OTHER]
    assert counts == {
        "mutant: identical to chosen": 1,
        "truncated: empty": 1,
        "mutant: kept": 1,
        "repeated: duplicate": 1,
        "repeated: too long": 1,
    }

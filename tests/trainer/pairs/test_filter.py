from collections import Counter

from trainer.pairs.filter import usable
from trainer.pairs.row import Rejected

SOURCE = "def add(a, b):\n    total = a + b\n    print(total)\n    return total"
OTHER = "def area(width, height):\n    side = width * height\n    return side"


def test_unusable_answers_are_counted_under_their_reason() -> None:
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
    assert [answer.text for answer in kept] == [OTHER]
    assert counts == {
        "mutant: identical to chosen": 1,
        "truncated: empty": 1,
        "mutant: kept": 1,
        "repeated: duplicate": 1,
        "repeated: too long": 1,
    }

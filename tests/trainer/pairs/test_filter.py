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


def test_a_statement_at_another_depth_is_another_answer() -> None:
    loop = "def total(items):\n    for item in items:\n        print(item)\n"
    inside = Rejected("mutant", loop + "        return 1")
    kept = usable(loop + "    return 1", [inside], max_characters=200, counts=Counter())
    assert kept == (inside,)


def test_what_does_not_parse_is_compared_as_text() -> None:
    broken = "def total(items):\n    for item in"
    counts: Counter[str] = Counter()
    made = [Rejected("truncated", f"{broken} \n"), Rejected("truncated", f"  {broken}")]
    assert usable(broken, made, max_characters=200, counts=counts) == (made[1],)
    assert counts["truncated: identical to chosen"] == 1

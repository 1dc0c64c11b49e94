import random
from collections import Counter
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer.corpus.snippets import snippet
from trainer.corpus.deduplicate import deduplicated, first_per_package
from trainer.corpus.snippet import Snippet

WORDS = [f"word{n}" for n in range(80)]
# None and one are the only changes that leave two texts, not one, above what the test allows.
NEAR = st.one_of(st.integers(0, 1), st.integers(0, 30))


def jaccard(one: Snippet, other: Snippet) -> float:
    left, right = set(one.source.split()), set(other.source.split())
    return len(left & right) / len(left | right)


def mutated(rng: random.Random, changes: int, package: str) -> Snippet:
    """The same text but for some words."""
    words = list(WORDS)
    for place in rng.sample(range(len(words)), changes):
        words[place] = f"other{rng.randrange(10**6)}"
    return snippet(" ".join(words), package)


@settings(max_examples=15)
@given(st.integers(0, 2**32), st.lists(NEAR, min_size=2, max_size=20))
def test_no_near_duplicates_are_kept_in_two_packages(seed: int, changes: list[int]) -> None:
    rng = random.Random(seed)
    found = [mutated(rng, count, f"p{place}") for place, count in enumerate(changes)]
    kept = list(deduplicated(found, 0.8, 256, Counter()))
    # LSH misses one pair in 40 000 at 0.95, and fewer above.
    assert all(jaccard(one, other) < 0.96 for one, other in combinations(kept, 2))


@settings(max_examples=15)
@given(st.integers(0, 2**32), st.lists(st.integers(30, 80), min_size=2, max_size=20))
def test_what_is_far_from_alike_is_kept(seed: int, changes: list[int]) -> None:
    rng = random.Random(seed)
    found = [mutated(rng, count, f"p{place}") for place, count in enumerate(changes)]
    close = any(jaccard(one, other) > 0.45 for one, other in combinations(found, 2))
    counts: Counter[str] = Counter()
    kept = list(deduplicated(found, 0.8, 256, counts))
    assert close or len(kept) == len(found)
    assert len(kept) + counts.total() == len(found)


def test_the_first_of_equals_is_kept() -> None:
    counts: Counter[str] = Counter()
    found = [snippet("a b c", package) for package in ("first", "second", "third")]
    assert [s.package for s in deduplicated(found, 0.8, 64, counts)] == ["first"]
    assert counts == {"duplicate": 2}


@given(st.lists(st.sampled_from("abc")), st.integers(0, 5))
def test_no_package_has_more_than_the_limit(packages: list[str], most: int) -> None:
    found = [snippet(str(n), package) for n, package in enumerate(sorted(packages))]
    counts: Counter[str] = Counter()
    kept = Counter(each.package for each in first_per_package(found, most, counts))
    assert all(kept[name] == min(most, packages.count(name)) for name in "abc")
    assert kept.total() + counts["over the package's limit"] == len(packages)

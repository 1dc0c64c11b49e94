"""Each function once: exact and near duplicates are found over all packages.

So none spans the hold-out. MinHash LSH is a lottery with known odds (docs/corpus.md): it misses
some pairs just above the threshold and takes some just below it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby

from datasketch import MinHash, MinHashLSH

from trainer.corpus.snippet import Snippet


def first_per_package(
    found: Iterable[Snippet], most: int, counts: Counter[str]
) -> Iterator[Snippet]:
    """The first `most` of each package; `found` comes package by package."""
    for _, snippets in groupby(found, key=lambda snippet: snippet.package):
        for place, snippet in enumerate(snippets):
            if place < most:
                yield snippet
            else:
                counts["over the package's limit"] += 1


def deduplicated(
    found: Iterable[Snippet], threshold: float, permutations: int, counts: Counter[str]
) -> Iterator[Snippet]:
    """The first of those whose word sets have a Jaccard similarity of `threshold` or more."""
    index = MinHashLSH(threshold=threshold, num_perm=permutations)
    for snippet in found:
        if snippet.id in index:
            counts["duplicate"] += 1
            continue
        sketch = MinHash(num_perm=permutations)
        sketch.update_batch([word.encode() for word in set(snippet.source.split())])
        if index.query(sketch):
            counts["near duplicate"] += 1
            continue
        index.insert(snippet.id, sketch)
        yield snippet

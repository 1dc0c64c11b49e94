"""Removes exact and near duplicates over all packages, so that no held-out code is trained on.

MinHash LSH is probabilistic, with known odds (docs/corpus.md): it misses some pairs just above the
threshold and takes some just below it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby

from datasketch import MinHash, MinHashLSH

from trainer.corpus.snippet import Snippet


def first_per_package(
    found: Iterable[Snippet], limit: int, counts: Counter[str]
) -> Iterator[Snippet]:
    """The first `limit` snippets of each package; `found` is sorted by package."""
    for _, snippets in groupby(found, key=lambda snippet: snippet.package):
        for index, snippet in enumerate(snippets):
            if index < limit:
                yield snippet
            else:
                counts["over the package's limit"] += 1


def deduplicated(
    found: Iterable[Snippet], threshold: float, permutations: int, counts: Counter[str]
) -> Iterator[Snippet]:
    """The first snippet of each group whose word sets have a Jaccard similarity >= `threshold`."""
    index = MinHashLSH(threshold=threshold, num_perm=permutations)
    for snippet in found:
        if snippet.id in index:  # ids are hashes of the source, so this one is an exact copy
            counts["duplicate"] += 1
            continue
        sketch = MinHash(num_perm=permutations)
        sketch.update_batch([word.encode() for word in set(snippet.source.split())])
        if index.query(sketch):
            counts["near duplicate"] += 1
            continue
        index.insert(snippet.id, sketch)
        yield snippet

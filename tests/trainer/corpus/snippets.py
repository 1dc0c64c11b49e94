"""Code for tests: a function that is worth keeping, and snippets made from words."""

import hashlib

from trainer.corpus.snippet import Snippet

FUNCTION = '''
@decorated
def clip(value, low, high):
    """Keep a value between two limits."""
    if value < low:
        return low
    if value > high:
        return high
    return value
'''


def snippet(source: str, package: str = "p", *, docstring: str = "", path: str = "f.py") -> Snippet:
    identity = hashlib.sha256(source.encode()).hexdigest()[:16]
    return Snippet(identity, package, "MIT", path, "f", "f()", docstring, source)

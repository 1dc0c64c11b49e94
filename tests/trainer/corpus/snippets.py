"""Snippets for tests, made from words."""

import hashlib

from trainer.corpus.snippet import Snippet


def snippet(source: str, package: str = "p", *, docstring: str = "", path: str = "f.py") -> Snippet:
    identity = hashlib.sha256(source.encode()).hexdigest()[:16]
    return Snippet(identity, package, "MIT", path, "f", "f()", docstring, source)

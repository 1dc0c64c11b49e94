"""Snippet -> prompt: a request that the function would be the answer to."""

import random
import re
from dataclasses import dataclass

from trainer.corpus.snippet import Snippet

_PLAIN_REQUESTS = (
    "{summary}.",
    "Write a function to {task}.",
    "Write a python function to {task}.",
)
_REQUESTS = (
    *_PLAIN_REQUESTS,
    "Implement the function `{signature}`. {summary}.",
    "Write a Python function `{name}` that does the following: {summary}.",
    "{summary}. Signature: {signature}",
)
_UNDESCRIBED = "Write the function `{signature}`."
_NOT_A_SUMMARY = re.compile(
    r"^(see|deprecated|todo|internal|note|copied|overrid|:|\.\.|>>>|@|\w+\()", re.I
)
_THIRD_PERSON = {"tries": "try", "does": "do", "has": "have", "is": "be", "passes": "pass"}


@dataclass(frozen=True)
class Prompt:
    """A request. `described` is false when it gives nothing but the signature."""

    text: str
    described: bool


def describe(snippet: Snippet, seed: int, *, named: bool = True) -> Prompt:
    """A request worded in one of several ways, which depends on the snippet and the seed.

    Unless `named`, only wordings that do not name the function are used.
    """
    summary = summarize(snippet.docstring)
    facts = {"name": snippet.name, "signature": snippet.signature}
    if summary is None:
        return Prompt(_UNDESCRIBED.format(**facts), described=False)
    # "Returns the mean" -> "return the mean", which is how requests are usually put.
    first, _, rest = summary.partition(" ")
    verb = first.lower()
    if verb in _THIRD_PERSON:
        verb = _THIRD_PERSON[verb]
    elif verb.endswith("s") and not verb.endswith(("ss", "us", "is")):
        verb = verb[:-1]
    template = random.Random(f"{seed} {snippet.id}").choice(_REQUESTS if named else _PLAIN_REQUESTS)
    return Prompt(template.format(summary=summary, task=f"{verb} {rest}", **facts), described=True)


def summarize(docstring: str) -> str | None:
    """The docstring's first sentence, without markup; None when it describes nothing."""
    paragraph = " ".join(docstring.strip().split("\n\n")[0].split())
    sentence = re.split(r"(?<=[a-z0-9)`'\"])\.\s", paragraph, maxsplit=1)[0].rstrip(" .:")
    # Sphinx roles and literals become their text.
    plain = re.sub(r":\w+:`~?([^`]*)`|``([^`]*)``", lambda m: m[1] or m[2], sentence)
    words = plain.split()
    if not 4 <= len(words) <= 40 or _NOT_A_SUMMARY.match(plain) or not plain.isascii():
        return None
    return plain

"""Snippet -> Prompt: what somebody would have asked for to get this function."""

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
    """A request. `described` is false when the signature is all there is to go by."""

    text: str
    described: bool


def describe(snippet: Snippet, seed: int, *, named: bool = True) -> Prompt:
    """A request worded in one of several ways; which one depends on the snippet and the seed.

    Unless `named`, only wordings that do not name the function.
    """
    summary = summarise(snippet.docstring)
    facts = {"name": snippet.name, "signature": snippet.signature}
    if summary is None:
        return Prompt(_UNDESCRIBED.format(**facts), described=False)
    template = random.Random(f"{seed} {snippet.id}").choice(_REQUESTS if named else _PLAIN_REQUESTS)
    return Prompt(template.format(summary=summary, task=_imperative(summary), **facts), True)


def summarise(docstring: str) -> str | None:
    """The docstring's first sentence, without markup; None when it describes nothing."""
    paragraph = " ".join(docstring.strip().split("\n\n")[0].split())
    sentence = re.split(r"(?<=[a-z0-9)`'\"])\.\s", paragraph, maxsplit=1)[0].rstrip(" .:")
    plain = re.sub(r":\w+:`~?([^`]*)`|``([^`]*)``", lambda m: m[1] or m[2], sentence)
    words = plain.split()
    if not 4 <= len(words) <= 40 or _NOT_A_SUMMARY.match(plain) or not plain.isascii():
        return None
    return plain


def _imperative(summary: str) -> str:
    """ "Returns the mean" -> "return the mean": how requests are usually put."""
    first, _, rest = summary.partition(" ")
    verb = first.lower()
    if verb in _THIRD_PERSON:
        verb = _THIRD_PERSON[verb]
    elif verb.endswith("s") and not verb.endswith(("ss", "us", "is")):
        verb = verb[:-1]
    return f"{verb} {rest}"

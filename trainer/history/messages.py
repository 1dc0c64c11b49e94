"""A commit's message -> the request of its pairs, or the reason why it asks for nothing."""

import re
from collections.abc import Iterable

# What git, forges and review tools add; most of it names people.
_TRAILER = re.compile(
    r"^\s*([\w-]+-by|cc|change-id|git-svn-id|reviewed-on|pull[- ]request|reviewers?|subscribers?"
    r"|differential revision|https?)\s*:|^\s*\(cherry picked from commit",
    re.I,
)
_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+")
_NUMBER = re.compile(r"\s*\((gh-|#)\d+\)$")  # of the pull request, which a forge adds
_BOT = re.compile(
    r"\[bot\]|\bbot\b|dependabot|renovate|github-actions|greenkeeper|pre-commit-ci|weblate|mergify",
    re.I,
)
_REVERT = re.compile(r"^(revert|back out|backout|undo)\b", re.I)
_REVERTED = re.compile(r"\b(?:reverts?|backs? out|backed out) commits? ([0-9a-f]{7,64})\b", re.I)
_RENAME = re.compile(r"^(\w+(\(.*\))?!?: *)?(renam|mov)(e|es|ed|ing)\b", re.I)
_HOUSEKEEPING = re.compile(
    r"^(wip\b|fixup!|squash!|amend!|bump\b|releas(e|ing)\b|version\b|v?\d+(\.\d+)+|merge\b"
    r"|initial (commit|import)|update (the )?(changelog|readme|dependenc|translation|version)"
    r"|re-?format|format\b|run (black|ruff|isort|prettier|gofmt)|(black|isort|ruff|lint|flake8"
    r"|pep ?8|typos?|whitespace)\b|(style|docs?|chore|ci|build|release)(\(.*\))?!?:)",
    re.I,
)
_MIN_WORDS = 3


def is_bot(people: Iterable[str]) -> bool:
    """Whether a program made the commit, by its names and address."""
    return any(_BOT.search(each) for each in people)


def is_revert(message: str) -> bool:
    """Whether the commit takes another one back, as its first line says."""
    return _REVERT.search(message) is not None


def reverted_ids(message: str) -> list[str]:
    """Beginnings of the ids of the commits that this one takes back, as `git revert` names them."""
    return _REVERTED.findall(message)


def without_people(message: str, people: Iterable[str]) -> str:
    """The message without trailers, the forge's number, and lines that name its people."""
    names = [re.escape(name) for name in people if len(name) > 2]
    # As it is written: many a name is also a word, such as Max.
    named = re.compile(rf"(?<!\w)({'|'.join(names)})(?!\w)") if names else None
    kept = []
    for line in message.strip().splitlines():
        bad = _TRAILER.search(line) or _ADDRESS.search(line) or (named and named.search(line))
        kept.append("" if bad else line.rstrip())
    if kept:
        kept[0] = _NUMBER.sub("", kept[0])
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()


def reason_to_skip(message: str, max_characters: int) -> str | None:
    """Why a message, without people, is no request for a change of code; None if it is one."""
    if _RENAME.search(message):
        return "rename or move"
    if _HOUSEKEEPING.search(message):
        return "housekeeping"
    if len(re.findall(r"[^\W\d_]{2,}", message)) < _MIN_WORDS or "\ufffd" in message:
        return "message says too little"
    return "message too long" if len(message) > max_characters else None


def request(message: str, path: str, signature: str) -> str:
    """The request: the message, and the function that it is about, without its body.

    The old body would give the answer away, because it is the rejected one: a model would learn to
    recognize a copy in place of a fix.
    """
    return f"{message}\n\nRewrite the function `{signature}` of {path} accordingly."

"""The file of API keys: one line per key, with its name, its SHA-256 and its limits.

The file holds the hash of a key instead of the key. A plain hash is enough because keys are 256
random bits: salts and slow hashes protect passwords, which people choose and attackers guess.
"""

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path

from service.auth.account import AccountLimits
from service.files import read_small_text

# Names are labels of metrics, and every request is compared with every key.
_MAX_KEYS = 1000

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HASH = re.compile(r"sha256:([0-9a-fA-F]{64})")
_LIMIT = re.compile(r"(concurrency|tokens_per_minute)=([1-9][0-9]{0,11})")


class KeyFileError(Exception):
    """The file cannot be used; the message names the line and never repeats its contents."""


@dataclass(frozen=True, slots=True)
class Key:
    """One line of the file."""

    name: str
    digest: bytes
    limits: AccountLimits


def digest_of(key: str) -> bytes:
    """Return the SHA-256 of a key as a client sends it."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def read_keys(path: Path) -> tuple[Key, ...]:
    """Read all keys of a file.

    Raises:
        KeyFileError: the file cannot be read, a line is wrong, or it holds no key.
    """
    try:
        text = read_small_text(path)
    except ValueError as error:
        raise KeyFileError(f"the file of API keys {path} {error}") from None
    keys: dict[int, Key] = {}
    try:
        for number, line in enumerate(text.split("\n"), start=1):
            if words := line.partition("#")[0].split():
                keys[number] = _parse_line(number, words, keys)
        if not 0 < len(keys) <= _MAX_KEYS:
            raise KeyFileError(f"it holds {len(keys)} keys, and needs 1 to {_MAX_KEYS}")
    except KeyFileError as error:
        raise KeyFileError(f"the file of API keys {path} cannot be used: {error}") from None
    return tuple(keys.values())


def _parse_line(number: int, words: list[str], earlier: dict[int, Key]) -> Key:
    name, digest = words[0], _HASH.fullmatch(words[1]) if len(words) > 1 else None
    if not NAME.fullmatch(name):
        raise KeyFileError(f"line {number}: a name is up to 64 letters, digits and ._-")
    if not digest:
        raise KeyFileError(f"line {number}: after the name comes sha256: and 64 hex digits")
    limits, named = AccountLimits(), set[str]()
    for word in words[2:]:
        if not (limit := _LIMIT.fullmatch(word)):
            raise KeyFileError(
                f"line {number}: after the hash come concurrency=N and tokens_per_minute=N at "
                "most, with N above 0"
            )
        if limit[1] in named:
            raise KeyFileError(f"line {number}: {limit[1]} is set twice")
        named.add(limit[1])
        limits = replace(limits, **{limit[1]: int(limit[2])})
    key = Key(name, bytes.fromhex(digest[1]), limits)
    for line, other in earlier.items():
        if key.digest == other.digest:
            raise KeyFileError(f"line {number}: the same key is on line {line}")
        # One name may have several keys, the old one and the new one while clients change over,
        # but all of them share one account and therefore one set of limits.
        if key.name == other.name and key.limits != other.limits:
            raise KeyFileError(f"line {number}: the same name has other limits on line {line}")
    return key

"""The file of API keys: one line for each, with its name, its SHA-256 and its limits.

The file holds a key's hash and not the key. A plain hash is right because keys are 256 random
bits: salts and slow hashes are for passwords, which people choose and others can guess.
"""

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path

from service.auth.account import Limits

_MOST_KEYS = 1000
"""Their names are labels of metrics, and every request is compared with every key."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HASH = re.compile(r"sha256:([0-9a-fA-F]{64})")
_LIMIT = re.compile(r"(concurrency|tokens_per_minute)=([1-9][0-9]{0,11})")


class KeyFileError(Exception):
    """The file cannot be used; the message names the line and never repeats what is in it."""


@dataclass(frozen=True, slots=True)
class Key:
    name: str
    digest: bytes
    limits: Limits


def digest_of(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def read_keys(path: Path) -> tuple[Key, ...]:
    """The keys of a file.

    Raises:
        KeyFileError: it cannot be read, a line is wrong, or there is no key in it.
    """
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise KeyFileError(f"cannot read the API keys in {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise KeyFileError(f"the file of API keys {path} is not UTF-8") from None
    try:
        return _parse(text)
    except KeyFileError as error:
        raise KeyFileError(f"the file of API keys {path} cannot be used: {error}") from None


def _parse(text: str) -> tuple[Key, ...]:
    keys: dict[int, Key] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if words := line.partition("#")[0].split():
            key = _key(number, words)
            for earlier, other in keys.items():
                _refuse_conflict(number, key, earlier, other)
            keys[number] = key
    if not 0 < len(keys) <= _MOST_KEYS:
        raise KeyFileError(f"it holds {len(keys)} keys, and needs 1 to {_MOST_KEYS}")
    return tuple(keys.values())


def _key(number: int, words: list[str]) -> Key:
    name, hashed = words[0], _HASH.fullmatch(words[1]) if len(words) > 1 else None
    if not NAME.fullmatch(name):
        raise KeyFileError(f"line {number}: a name is up to 64 letters, digits and ._-")
    if not hashed:
        raise KeyFileError(f"line {number}: after the name comes sha256: and 64 hex digits")
    limits = Limits()
    for word in words[2:]:
        if not (limit := _LIMIT.fullmatch(word)):
            raise KeyFileError(
                f"line {number}: after the hash come concurrency=N and tokens_per_minute=N at "
                "most, with N above 0"
            )
        limits = replace(limits, **{limit[1]: int(limit[2])})
    return Key(name, bytes.fromhex(hashed[1]), limits)


def _refuse_conflict(number: int, key: Key, earlier: int, other: Key) -> None:
    """One name may have several keys: the next one and the last one while clients change over."""
    if key.digest == other.digest:
        raise KeyFileError(f"line {number}: the same key is on line {earlier}")
    if key.name == other.name and key.limits != other.limits:
        raise KeyFileError(f"line {number}: the same name has other limits on line {earlier}")

"""The keys that count now, and who holds them. Follows its file, and never lets in by mistake."""

import hmac
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from service.auth.account import Account
from service.auth.key_file import Key, KeyFileError, digest_of, read_keys

_log = logging.getLogger(__name__)

_CHECK_EVERY = 1.0
"""Seconds; so long may a key that was taken out of the file still be good."""


class Keyring:
    """Reads its file at once and, when somebody asks, again if it changed.

    A changed file that cannot be used leaves the keys as they were: those who have one go on, and
    nobody else comes in.

    Attributes:
        stale: whether that is so now.

    Raises:
        KeyFileError: the file cannot be used.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.stale = False
        self._path = path
        self._clock = clock
        self._callers: dict[str, Account] = {}
        self._keys: tuple[Key, ...] = ()
        self._checked_at = clock()
        self._seen = _version(path)  # before it is read, so that no change goes unseen
        self._use(read_keys(path))

    def caller(self, presented: Iterable[str]) -> Account | None:
        """The holder of the first of these keys that is known; None if none is."""
        self._follow()
        for text in presented:
            if key := self._find(digest_of(text)):
                return self._callers[key.name]
        return None

    def _find(self, digest: bytes) -> Key | None:
        """Compares with all, in the same time wherever one differs: it tells nothing of others."""
        matches = [key for key in self._keys if hmac.compare_digest(key.digest, digest)]
        return matches[0] if matches else None

    def _follow(self) -> None:
        now = self._clock()
        if now < self._checked_at + _CHECK_EVERY:
            return
        self._checked_at = now
        version = _version(self._path)
        if version != self._seen:
            self._seen = version
            self._read_again()

    def _read_again(self) -> None:
        try:
            self._use(read_keys(self._path))
        except KeyFileError as error:
            self.stale = True
            _log.error("%s; the keys known before still count", error)
        else:
            self.stale = False
            _log.info("read %d API keys", len(self._keys))

    def _use(self, keys: tuple[Key, ...]) -> None:
        """Holders that were there before keep their accounts."""
        callers: dict[str, Account] = {}
        for key in keys:
            caller = self._callers.get(key.name) or Account(key.name, key.limits, self._clock)
            caller.limit(key.limits)
            callers[key.name] = caller
        self._keys, self._callers = keys, callers


def _version(path: Path) -> tuple[int, ...] | None:
    """Differs when the file does: also after a rename onto it, or a change of its permissions."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino

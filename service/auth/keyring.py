"""The keys that are valid now, and their accounts. Follows the key file and never fails open."""

import hmac
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Thread

from service.auth.account import Account
from service.auth.key_file import Key, KeyFileError, digest_of, read_keys

_log = logging.getLogger(__name__)

# Seconds between two looks at the file. A key that was taken out of it may stay valid that long.
_CHECK_INTERVAL = 1.0

# Seconds that a request waits for a look at the file.
_PATIENCE = 0.1


class Keyring:
    """Reads its file when it is made and, on a later request, again if the file changed.

    A changed file that cannot be used leaves the keys as they were: their holders go on, and
    nobody else is let in.

    Attributes:
        stale: whether the file was changed to something that cannot be used.

    Raises:
        KeyFileError: the file cannot be used.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.stale = False
        self._path = path
        self._clock = clock
        self._accounts: dict[str, Account] = {}
        self._keys: tuple[Key, ...] = ()
        self._checked_at = clock()
        self._reading: Thread | None = None
        # The state is taken before the file is read, so that a change in between is not missed.
        self._file_state = _file_state(path)
        self._use(read_keys(path))

    def account(self, presented: Iterable[str]) -> Account | None:
        """Return the account of the first of these keys that is known, or None."""
        self._reload_if_changed()
        for text in presented:
            digest = digest_of(text)
            # Every key is compared, each in constant time: how long it takes tells nothing.
            matches = [key for key in self._keys if hmac.compare_digest(key.digest, digest)]
            if matches:
                return self._accounts[matches[0].name]
        return None

    def _reload_if_changed(self) -> None:
        now = self._clock()
        if now < self._checked_at + _CHECK_INTERVAL:
            return
        self._checked_at = now
        if self._reading and self._reading.is_alive():
            return
        # A file on a share that does not answer must not hold up the event loop; usually the thread
        # is done at once, and this request meets the new keys.
        self._reading = Thread(target=self._read_if_changed, name="key-file", daemon=True)
        self._reading.start()
        self._reading.join(_PATIENCE)

    def _read_if_changed(self) -> None:
        state = _file_state(self._path)
        if state == self._file_state:
            return
        self._file_state = state
        try:
            self._use(read_keys(self._path))
        except KeyFileError as error:
            self.stale = True
            _log.error("%s; the keys known before still count", error)
        else:
            self.stale = False
            _log.info("read %d API keys", len(self._keys))

    def _use(self, keys: tuple[Key, ...]) -> None:
        for key in keys:
            # A holder that was there before keeps its account, with what is in use and charged,
            # also if its line was out of the file for a while.
            account = self._accounts.get(key.name) or Account(key.name, key.limits, self._clock)
            account.set_limits(key.limits)
            self._accounts[key.name] = account
        self._keys = keys


def _file_state(path: Path) -> tuple[int, ...] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    # A rename onto the file changes the inode, and a change of its permissions the ctime.
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino

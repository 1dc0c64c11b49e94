"""Decides from a request's head alone whether it is let in; no byte of its body is read before."""

import re
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import Scope

from service.auth.account import UNLIMITED, Account
from service.auth.keyring import Keyring
from service.errors import InvalidKey, UntrustedHost

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]+)?")


class Gate:
    """Checks the host of every request that is not a probe, and the API key of all but pages.

    Args:
        hosts: names by which requests may call this server; `*.example.com` is every name below
            example.com. Empty: any name.
        keyring: the keys that are known; without a keyring no key is needed.
        probes: patterns of the paths that need neither, because orchestrators and load balancers
            have no key and call a server by its address.
        pages: patterns of the paths that need no key, because a browser sends none when it loads a
            page.
    """

    def __init__(
        self,
        hosts: Iterable[str] = (),
        keyring: Keyring | None = None,
        probes: Iterable[re.Pattern[str]] = (),
        pages: Iterable[re.Pattern[str]] = (),
    ) -> None:
        names = [host.lower() for host in hosts]
        self._names = frozenset(name for name in names if not name.startswith("*."))
        self._suffixes = tuple(name[1:] for name in names if name.startswith("*."))
        self._keyring = keyring
        self._probes = tuple(probes)
        self._pages = tuple(pages)

    def admit(self, scope: Scope) -> Account:
        """Return the account that a request is counted for.

        Raises:
            UntrustedHost: the request was sent to another host.
            InvalidKey: the request has no key, or none that is known.
        """
        headers = Headers(scope=scope)
        # A body would be read whole, so a request with one is neither probe nor page.
        has_body = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
        only_reads = scope["method"] in ("GET", "HEAD") and not has_body
        path = scope["path"]
        if only_reads and any(pattern.fullmatch(path) for pattern in self._probes):
            return UNLIMITED
        if self._names or self._suffixes:
            host = _HOST.fullmatch(headers.get("host", "").lower())
            if not host or not (host[1] in self._names or host[1].endswith(self._suffixes)):
                raise UntrustedHost(
                    "the Host header names none of this server's names (--trusted-hosts)"
                )
        if self._keyring is None:
            return UNLIMITED
        if only_reads and any(pattern.fullmatch(path) for pattern in self._pages):
            return UNLIMITED
        presented = [headers.get("x-api-key", "")]
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            presented.append(credentials.strip())
        # Some clients always send one of the two headers with a placeholder, so both are tried.
        account = self._keyring.account(filter(None, presented))
        if account is None:
            raise InvalidKey(
                "this server needs a key that it knows: send it as Authorization: Bearer KEY or "
                "as X-API-Key: KEY"
            )
        return account

"""Who may come in, told from a request's head alone: no byte of the body is read before."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from starlette.datastructures import Headers
from starlette.types import Scope

from service.auth.keyring import Keyring
from service.errors import InvalidKey, UntrustedHost
from service.telemetry.request_record import RequestRecord

_PROBES = re.compile(
    r"/(healthz|readyz|metrics|health|ping|v2/health/(live|ready)"
    r"|v2/models/.+/ready)"
)
"""Asked for by machines that have no key and call a server by its address."""

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]+)?")


class Gate:
    """Stands before everything but probes.

    Args:
        hosts: what a request may call this server; `*.example.com` is every name below
            example.com. Empty: anything.
        keyring: without one no key is needed.
    """

    def __init__(self, hosts: Iterable[str] = (), keyring: Keyring | None = None) -> None:
        self._hosts = tuple(host.lower() for host in hosts)
        self._keyring = keyring

    @contextmanager
    def enter(self, scope: Scope, record: RequestRecord) -> Iterator[None]:
        """Let a request in, and count it for its key's holder while the block runs.

        Raises:
            UntrustedHost: it was sent to another name.
            InvalidKey: it has no key, or none that is known.
            QuotaExceeded: as many requests with its key as may be are under way.
        """
        headers = Headers(scope=scope)
        if _is_probe(scope, headers):
            yield
            return
        self._refuse_other_host(headers.get("host", ""))
        if self._keyring is None:
            yield
            return
        record.caller = self._keyring.caller(_presented(headers))
        if record.caller is None:
            raise InvalidKey(
                "this server needs a key that it knows: send it as Authorization: Bearer KEY or "
                "as X-API-Key: KEY"
            )
        with record.caller.under_way():
            yield

    def _refuse_other_host(self, header: str) -> None:
        named = _HOST.fullmatch(header.lower())
        if self._hosts and not (named and any(_covers(each, named[1]) for each in self._hosts)):
            raise UntrustedHost(
                "the Host header names none of this server's names (--trusted-hosts)"
            )


def _covers(pattern: str, host: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def _is_probe(scope: Scope, headers: Headers) -> bool:
    """A body would be read, so a probe has none."""
    bodiless = "transfer-encoding" not in headers and headers.get("content-length", "0") == "0"
    return (
        scope["method"] in ("GET", "HEAD")
        and bodiless
        and _PROBES.fullmatch(scope["path"]) is not None
    )


def _presented(headers: Headers) -> Iterator[str]:
    if key := headers.get("x-api-key"):
        yield key
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        yield key.strip()

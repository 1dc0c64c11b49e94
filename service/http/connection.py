"""One connection as this service needs it: HTTP read strictly, in small pieces, and within a time.

Whatever a proxy in front may read otherwise than this server is refused. Otherwise, one of them
could take for a request what the other one takes for part of a body.
"""

import asyncio
import re
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

# Seconds for a request's line and headers. uvicorn's own limit ends with the first byte.
HEAD_SECONDS = 60

# Bytes of a request's line and headers; more are answered with 400.
MAX_HEAD_BYTES = 16 * 1024

# Bytes that are read from a socket in one go. All of them are parsed at once, while all other
# connections wait: heads and chunks, of which 4 KiB may hold 700, take far longer than a body whose
# length is known.
_READ_BYTES, _READ_BYTES_OF_BODY = 4 * 1024, 64 * 1024

# Chunks of one body. A client that sends its body bit by bit would cost seconds for a megabyte.
_MAX_CHUNKS = 65_536

# Seconds between two looks at whether a client that has stopped sending is still there.
_PROBE_SECONDS = 0.2

# Lines that end without CR LF, folded lines, and lengths that are given more than once.
_UNCLEAR_LINES = re.compile(rb"(?<!\r)\n|\r(?!\n)|\n[ \t]")
_LENGTHS = re.compile(rb"\ncontent-length:([^\r]*)", re.IGNORECASE)


class StrictParser(h11.Connection):
    """h11's side of a server, which refuses requests that other software may read otherwise.

    Attributes:
        refusal: why a request was refused, in words for its client; None if h11 refused it.
    """

    refusal: str | None = None

    def __init__(self) -> None:
        super().__init__(h11.SERVER, MAX_HEAD_BYTES)
        self._chunks: int | None = None

    @property
    def reads_length(self) -> bool:
        """Whether what comes next is the rest of a body whose length is known."""
        return self.their_state is h11.SEND_BODY and self._chunks is None

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        unread = b""
        if self.their_state is h11.IDLE:
            self._check_head(self.trailing_data[0])
        elif self._chunks is not None:
            unread = self.trailing_data[0]
        event = super().next_event()
        if isinstance(event, h11.Request):
            return self._checked(event)
        if self._chunks is None:
            return event
        if isinstance(event, h11.Data) and event.chunk_start:
            self._chunks += 1
            if self._chunks > _MAX_CHUNKS:
                self._refuse(f"The body has more than {_MAX_CHUNKS} chunks: send larger ones.")
        elif isinstance(event, h11.EndOfMessage):
            end = unread[: len(unread) - len(self.trailing_data[0])]
            if event.headers or not (end == b"\r\n" or end.endswith(b"\r\n\r\n")):
                self._refuse("A chunked body must end with an empty line and without trailers.")
        return event

    def _check_head(self, received: bytes) -> None:
        """Refuse a head by its bytes, of which h11 forgives and forgets too much."""
        head, end, _ = received.partition(b"\r\n\r\n")
        if len(head) > MAX_HEAD_BYTES:
            self._refuse(f"The request's line and headers have more than {MAX_HEAD_BYTES} bytes.")
        # The last byte may be a CR whose LF is still to come.
        if _UNCLEAR_LINES.search(head if end else head.removesuffix(b"\r")):
            self._refuse("Lines of the head must end with CR LF and must not be folded.")
        lengths = _LENGTHS.findall(head)
        if len(lengths) > 1 or any(b"," in length for length in lengths):
            self._refuse("Content-Length must be given once.")

    def _checked(self, request: h11.Request) -> h11.Request:
        """Return a request whose target is a path; refuse one whose body or version is unclear."""
        names = {name for name, _ in request.headers}
        if request.http_version not in (b"1.0", b"1.1"):
            self._refuse("This server speaks HTTP/1.1.")
        chunked = b"transfer-encoding" in names
        if chunked and b"content-length" in names:
            self._refuse("Content-Length and Transfer-Encoding must not be given together.")
        if chunked and request.http_version == b"1.0":
            self._refuse("HTTP/1.0 has no Transfer-Encoding.")
        self._chunks = 0 if chunked else None
        if request.target.startswith(b"/"):
            return request
        # RFC 9112, 3.2.2: clients of proxies send the whole URL, which goes before the Host header.
        url = urlsplit(request.target)
        if url.scheme.lower() not in (b"http", b"https"):
            return request
        if not url.netloc or b"@" in url.netloc:
            self._refuse("The request's target must be a path, or a URL with a host and no user.")
        path, query = url.path or b"/", b"?" + url.query if url.query else b""
        others = [header for header in request.headers if header[0] != b"host"]
        return h11.Request(
            method=request.method,
            headers=[(b"host", url.netloc), *others],
            target=path + query,
            http_version=request.http_version,
        )

    def _refuse(self, reason: str) -> None:
        self.refusal = reason
        raise h11.RemoteProtocolError(reason)


class Connection(H11Protocol):
    """One connection; it is closed when the head of a request does not arrive whole in time.

    The time runs from the first byte of a head, and for the first request from the connection.
    """

    conn: StrictParser
    cycle: RequestResponseCycle | None  # type: ignore[assignment]  # uvicorn sets None at first
    _timer: asyncio.TimerHandle | None = None
    _has_ended = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.conn = StrictParser()
        self._limit_reading(_READ_BYTES)
        self._start_timer(HEAD_SECONDS, self.transport.close)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._limit_reading(_READ_BYTES_OF_BODY if self.conn.reads_length else _READ_BYTES)
        # h11 leaves IDLE when a head is whole; what is then slow is the body, which has a limit
        # of its own.
        if self.conn.their_state is not h11.IDLE:
            self._stop_timer()
        elif self._timer is None:
            self._start_timer(HEAD_SECONDS, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        if self.cycle and self.cycle.response_started and not self.cycle.response_complete:
            self.transport.abort()  # half an answer must not look like a whole one
        else:
            super().send_400_response(self.conn.refusal or msg)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Stay open for the answer if the client has sent a whole request and will send no more."""
        # A client that left looks the same at first, and its work should stop.
        if self.cycle is None or self.cycle.more_body or self.cycle.response_complete:
            return False
        self._has_ended = True
        self._stop_timer()
        if not self.cycle.response_started and self.conn.their_http_version == b"1.1":
            # Whoever left answers this with a reset. Others skip it, as RFC 9110, 15.2 has it.
            probe = h11.InformationalResponse(status_code=102, headers=[], reason="Processing")
            self.transport.write(self.conn.send(probe) or b"")
        self._start_timer(_PROBE_SECONDS, self._close_if_reset)
        return True

    def _close_if_reset(self) -> None:
        # asyncio does not read any more, so it would not notice.
        connected: socket.socket = self.transport.get_extra_info("socket")
        if connected.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.transport.abort()
        else:
            self._start_timer(_PROBE_SECONDS, self._close_if_reset)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # The client may have sent several requests before it stopped sending.
        if self._has_ended and self.cycle and self.cycle.response_complete:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def _limit_reading(self, size: int) -> None:
        if hasattr(self.transport, "max_size"):  # asyncio's transports have it, uvloop's do not
            self.transport.max_size = size

    def _start_timer(self, seconds: float, then: Callable[[], None]) -> None:
        self._timer = self.loop.call_later(seconds, then)

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

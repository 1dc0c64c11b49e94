"""One request with its retries, as a generator that makes all decisions and does no I/O.

The generator yields steps, either to send something or to wait. A client performs each step and
sends its outcome back into the generator. So the blocking and the asyncio client share all logic
and differ only in how they send and sleep.
"""

import itertools
import json
import logging
import random
import time
import uuid
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx

from codepmp_client.errors import DeadlineExceeded, RewardError, Unavailable
from codepmp_client.inputs import Options
from codepmp_client.retry import pause_before_retry, retry_after
from codepmp_client.split import Request
from codepmp_client.wire import ScoreResponse, read_error, read_response

# Relative, so that it is joined to the client's URL, which may have a path itself.
PATH = "v1/score"

_log = logging.getLogger("codepmp_client")

# Limit for connecting, in seconds. Another try may reach another server, so no try waits longer.
_CONNECT_SECONDS = 10.0

# Failures of the network after which the same request may succeed.
_TRANSIENT = (
    httpx.ConnectTimeout,
    httpx.NetworkError,
    httpx.ProxyError,
    httpx.RemoteProtocolError,
)


@dataclass(frozen=True, slots=True)
class Send:
    """POST this, and send back the response or httpx's error."""

    content: bytes
    headers: dict[str, str]
    seconds: float

    @property
    def timeout(self) -> httpx.Timeout:
        return httpx.Timeout(self.seconds, connect=min(self.seconds, _CONNECT_SECONDS))


@dataclass(frozen=True, slots=True)
class Wait:
    """Sleep, and send back None."""

    seconds: float


Step = Send | Wait
Reply = httpx.Response | httpx.RequestError | None
Steps = Generator[Step, Reply, ScoreResponse]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its retries.

    Attributes:
        deadline: in seconds on `time.monotonic`.
        id: sent with every try as X-Request-Id; the server's log names it.
    """

    request: Request
    options: Options
    deadline: float
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def steps(self) -> Steps:
        """Yield what to do next; return the response.

        Raises:
            RewardError: that of the last try, when there is no time for another, or no use in it.
        """
        sizes = [len(piece.part.candidates) for piece in self.request]
        for tries in itertools.count(1):
            reply = yield self.send_step()
            assert reply is not None
            if isinstance(reply, httpx.Response) and reply.is_success:
                return read_response(reply, sizes)
            failure = self.failure(reply)
            if not isinstance(failure, Unavailable):
                raise failure
            headers = reply.headers if isinstance(reply, httpx.Response) else httpx.Headers()
            asked = retry_after(headers, datetime.now(UTC))
            pause = pause_before_retry(tries, asked, random.random())
            # The failure now says more than a timeout after the pause would.
            if time.monotonic() + pause >= self.deadline:
                raise failure
            reason = failure.code or failure.status or type(reply).__name__
            _log.info("request %s, try %d: %s; again in %.2f s", self.id, tries, reason, pause)
            yield Wait(pause)
        raise AssertionError("counted to the end")

    def send_step(self) -> Send:
        """Return the request as it is sent now, with the time that is left.

        Raises:
            DeadlineExceeded: no time is left.
            ValueError: a text is not Unicode.
        """
        seconds = self.deadline - time.monotonic()
        if seconds <= 0:
            raise DeadlineExceeded(
                "the timeout passed before the request could be sent: allow more time, or score "
                "less in one call",
                request_id=self.id,
            )
        body = {
            "inputs": [piece.part.fields() for piece in self.request],
            # What is left of the deadline, so that the server drops work that comes too late.
            "timeout_ms": max(1, int(seconds * 1000)),
            **self.options.fields(),
        }
        try:
            # UTF-8 instead of escapes: six bytes for a character would count against the server's
            # limit on bodies.
            content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        except UnicodeEncodeError:
            # Its own message would quote the text.
            raise ValueError(
                "a text holds half a surrogate pair, which is not Unicode: replace it"
            ) from None
        headers = {"Content-Type": "application/json", "X-Request-Id": self.id}
        return Send(content, headers, seconds)

    def failure(self, reply: httpx.Response | httpx.RequestError) -> RewardError:
        """Return the error that a reply without scores means.

        It is `Unavailable` if another try may succeed.
        """
        if isinstance(reply, httpx.Response):
            return read_error(reply)
        # A connection that timed out reached no server; all other timeouts are the deadline's.
        timed_out = isinstance(reply, httpx.TimeoutException)
        if timed_out and not isinstance(reply, httpx.ConnectTimeout):
            return DeadlineExceeded("no answer came before the timeout", request_id=self.id)
        if isinstance(reply, _TRANSIENT):
            problem = str(reply) or type(reply).__name__
            return Unavailable(f"the server cannot be reached: {problem}", request_id=self.id)
        # The text of other errors may quote a header, and so the key.
        return RewardError(f"the request failed: {type(reply).__name__}", request_id=self.id)

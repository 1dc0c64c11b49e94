"""One request until it is answered, as a generator that decides everything and does no I/O.

A client performs the steps that it yields and sends back their outcome. So sending and sleeping are
all that the blocking and the asyncio client each do in their own way.
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
    """A request, its retries included.

    Attributes:
        deadline: in seconds on `time.monotonic`.
        id: sent with every try, and named by the server's log.
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
        """The request as it is sent now.

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
            # The server drops a request whose client has stopped waiting.
            "timeout_ms": max(1, int(seconds * 1000)),
            **self.options.fields(),
        }
        try:
            content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        except UnicodeEncodeError:
            # Its own message would quote the text.
            raise ValueError(
                "a text holds half a surrogate pair, which is not Unicode: replace it"
            ) from None
        headers = {"Content-Type": "application/json", "X-Request-Id": self.id}
        return Send(content, headers, seconds)

    def failure(self, reply: httpx.Response | httpx.RequestError) -> RewardError:
        """The meaning of a reply without scores; `Unavailable` if another try may succeed."""
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

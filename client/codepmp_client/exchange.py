"""One request until it is answered. Decides everything and does no I/O.

A client runs the steps that it yields and sends back what came of them, so sending and sleeping
are all that the sync and the async client each have of their own.
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
from codepmp_client.wire import ScoreResponse, read_answer, read_error

PATH = "v1/score"

_log = logging.getLogger("codepmp_client")

_CONNECT_SECONDS = 10.0
"""Another try may reach another server, so no try spends the whole time on connecting."""


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
    """Sleep, and send back nothing."""

    seconds: float


Step = Send | Wait
Reply = httpx.Response | httpx.RequestError | None
Steps = Generator[Step, Reply, ScoreResponse]


@dataclass(frozen=True, slots=True)
class Exchange:
    """`deadline` is a reading of `time.monotonic`."""

    request: Request
    options: Options
    deadline: float
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def steps(self) -> Steps:
        """Ends with the answer.

        Raises:
            RewardError: the last try's, when there is no time for another or no use in it.
        """
        sizes = [len(piece.part.candidates) for piece in self.request]
        for tries in itertools.count(1):
            reply = yield self._send()
            assert reply is not None
            if isinstance(reply, httpx.Response) and reply.is_success:
                return read_answer(reply, sizes)
            failure = self._explain(reply)
            yield self._pause(tries, reply, failure)
        raise AssertionError("counted to the end")

    def _send(self) -> Send:
        seconds = self.deadline - time.monotonic()
        if seconds <= 0:
            raise DeadlineExceeded(
                "the timeout passed before the request could be sent: allow more time, or ask for "
                "less in one call",
                request_id=self.id,
            )
        headers = {"Content-Type": "application/json", "X-Request-Id": self.id}
        return Send(self._body(seconds), headers, seconds)

    def _body(self, seconds: float) -> bytes:
        inputs = [piece.part.fields() for piece in self.request]
        milliseconds = max(1, int(seconds * 1000))
        body = {"inputs": inputs, "timeout_ms": milliseconds, **self.options.fields()}
        try:
            return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        except UnicodeEncodeError:
            raise ValueError(
                "a text holds half a surrogate pair, which is no Unicode: replace it"
            ) from None

    def _explain(self, reply: httpx.Response | httpx.RequestError) -> RewardError:
        if isinstance(reply, httpx.Response):
            return read_error(reply)
        if isinstance(reply, httpx.TimeoutException) and not isinstance(
            reply, httpx.ConnectTimeout
        ):
            return DeadlineExceeded("no answer came before the timeout", request_id=self.id)
        if isinstance(reply, _TRANSIENT):
            problem = str(reply) or type(reply).__name__
            return Unavailable(f"the server cannot be reached: {problem}", request_id=self.id)
        # Its words may hold a header, and so the key.
        return RewardError(f"the request failed: {type(reply).__name__}", request_id=self.id)

    def _pause(
        self, tries: int, reply: httpx.Response | httpx.RequestError, failure: RewardError
    ) -> Wait:
        if not isinstance(failure, Unavailable):
            raise failure
        headers = reply.headers if isinstance(reply, httpx.Response) else httpx.Headers()
        asked = retry_after(headers, datetime.now(UTC))
        pause = pause_before_retry(tries, asked, random.random())
        if time.monotonic() + pause >= self.deadline:
            raise failure
        reason = failure.code or failure.status or type(reply).__name__
        _log.info("request %s, try %d: %s; again in %.2f s", self.id, tries, reason, pause)
        return Wait(pause)


_TRANSIENT = (
    httpx.ConnectTimeout,
    httpx.NetworkError,
    httpx.ProxyError,
    httpx.RemoteProtocolError,
)

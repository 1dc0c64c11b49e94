"""All errors that a request may be answered with, as one tree.

`service.http.error_responses` has the one table from these classes to status codes. Messages are
sent to clients as they are, so no message may quote a text that a user sent.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

# Seconds. Clients that honor Retry-After give up on anything longer.
MAX_RETRY_AFTER = 60


class ServiceError(Exception):
    """An answer to a whole request. `param` names the field at fault, if there is one."""

    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class MalformedBody(ServiceError):
    """The body is not JSON, or not UTF-8."""

    code = "malformed_body"


class InvalidRequest(ServiceError):
    """The body is JSON, but not what this route takes."""

    code = "invalid_request"


class UntrustedHost(ServiceError):
    """The Host header names none of this server's trusted hosts."""

    code = "untrusted_host"


class InvalidKey(ServiceError):
    """The request has no API key, or an unknown one."""

    code = "invalid_api_key"


class NoSuchRoute(ServiceError):
    code = "not_found"


class WrongMethod(ServiceError):
    code = "method_not_allowed"


class UnknownModel(ServiceError):
    code = "model_not_found"


class Conflict(ServiceError):
    """The models that are loaded do not allow this change."""

    code = "conflict"


class CannotLoad(ServiceError):
    """A model cannot be served; nothing has changed."""

    code = "cannot_load"


class NotAllowed(ServiceError):
    """The admin interface was called without its key, or with a wrong one."""

    code = "not_allowed"


class EncodedBody(ServiceError):
    """The body is compressed or encoded otherwise; its size would not be known before its end."""

    code = "unsupported_encoding"


class BodyTooLarge(ServiceError):
    code = "body_too_large"


class BodyTooSlow(ServiceError):
    code = "body_too_slow"


class ItemRefused(ServiceError):
    """One item cannot be scored, and the dialect has no place for errors of single items."""

    code = "item_refused"


class ItemFailed(ServiceError):
    """One item has no score through a fault of ours; otherwise like `ItemRefused`."""

    code = "item_failed"


class DeadlineExceeded(ServiceError):
    """The client's own `timeout_ms` passed before the answer was complete."""

    code = "deadline_exceeded"


class ClientGone(ServiceError):
    """The client disconnected; this exists for the log and the metrics only."""

    code = "client_gone"


class InternalError(ServiceError):
    """A fault of ours. The answer does not explain it; the log does, under the request's id."""


class Unavailable(ServiceError):
    """The request may be retried after `retry_after` whole seconds."""

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotReady(Unavailable):
    code = "not_ready"


class Draining(Unavailable):
    code = "draining"


class Overload(Unavailable):
    """The request exceeds a limit that frees up again. Its status is --overload-status."""


class QueueFull(Overload):
    code = "queue_full"


class QuotaExceeded(Overload):
    """The API key's quota is used up."""

    code = "quota_exceeded"


ItemErrorCode = Literal[
    "empty", "too_long", "unencodable", "non_finite", "engine_error", "out_of_memory"
]


@dataclass(frozen=True, slots=True)
class ItemError:
    """One candidate has no score; the others of its request are not affected.

    Attributes:
        text_at_fault: whether an `engine_error` comes from this text alone; it will come again.
    """

    code: ItemErrorCode
    message: str
    text_at_fault: bool = False

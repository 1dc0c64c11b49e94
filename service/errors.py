"""Everything that can be refused or go wrong, as one tree; `http` maps it to status codes.

Messages are sent to clients as they are, so none may hold a text that a user sent.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

LONGEST_RETRY = 60
"""Seconds. Clients that honour Retry-After give up on anything longer."""


class ServiceError(Exception):
    """A whole request is answered with this. `param` names the field at fault, if one is."""

    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class MalformedBody(ServiceError):
    """Not JSON, or not UTF-8."""

    code = "malformed_body"


class InvalidRequest(ServiceError):
    """JSON, but not what this route takes."""

    code = "invalid_request"


class UntrustedHost(ServiceError):
    """Sent to a name that is not this server's."""

    code = "untrusted_host"


class InvalidKey(ServiceError):
    """No API key, or none that is known."""

    code = "invalid_api_key"


class NoSuchRoute(ServiceError):
    code = "not_found"


class WrongMethod(ServiceError):
    code = "method_not_allowed"


class UnknownModel(ServiceError):
    code = "model_not_found"


class Conflict(ServiceError):
    """What is loaded stands against it."""

    code = "conflict"


class CannotLoad(ServiceError):
    """A model is not fit to be served; nothing has changed."""

    code = "cannot_load"


class NotAllowed(ServiceError):
    """Without a key, or with a wrong one."""

    code = "not_allowed"


class BodyTooLarge(ServiceError):
    code = "body_too_large"


class BodyTooSlow(ServiceError):
    code = "body_too_slow"


class ItemRefused(ServiceError):
    """One item cannot be scored, and the dialect has no place to say so beside the others."""

    code = "item_refused"


class ItemFailed(ServiceError):
    """As `ItemRefused`, but the fault is ours."""

    code = "item_failed"


class DeadlineExceeded(ServiceError):
    """The client's own `timeout_ms` passed."""

    code = "deadline_exceeded"


class ClientGone(ServiceError):
    """Nobody reads this answer; it exists for the log and the metrics."""

    code = "client_gone"


class InternalError(ServiceError):
    """A fault of ours. Says nothing about it: the log does, under the request's id."""


class Unavailable(ServiceError):
    """Not now. `retry_after` is the whole number of seconds after which it is worth a try."""

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotReady(Unavailable):
    code = "not_ready"


class Draining(Unavailable):
    code = "draining"


class Overload(Unavailable):
    """More is asked for than there is room for. Its status is a setting."""


class QueueFull(Overload):
    code = "queue_full"


class QuotaExceeded(Overload):
    """More than the holder of this key may have."""

    code = "quota_exceeded"


ItemErrorCode = Literal[
    "empty", "too_long", "unencodable", "non_finite", "engine_error", "out_of_memory"
]


@dataclass(frozen=True, slots=True)
class ItemError:
    """One candidate has no score; its neighbours are not touched."""

    code: ItemErrorCode
    message: str

"""Errors of a whole call. An error of one candidate is a value instead: `Score.error`.

No message quotes a text that was sent.
"""


class RewardError(Exception):
    """Base of all errors that this package raises on purpose.

    Attributes:
        message: the server's own words, if it has answered.
        status: the HTTP status; None without an answer.
        code: the server's name for the error, for example `queue_full`.
        param: the field at fault, if there is one.
        request_id: names the request in the server's log.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.param = param
        self.request_id = request_id

    def __str__(self) -> str:
        request = self.request_id and f"request {self.request_id}"
        facts = [str(fact) for fact in (self.status, self.code, request) if fact]
        return f"{self.message} ({', '.join(facts)})" if facts else self.message


class Refused(RewardError):
    """The server refuses the request and would refuse it again: correct the request."""


class ServerFault(RewardError):
    """The server failed on the request and would fail again; its log has the request's id."""


class Unavailable(RewardError):
    """The server is overloaded, starting or unreachable, and no time was left for another try."""


class DeadlineExceeded(RewardError):
    """The timeout passed before there was an answer."""


class BadAnswer(RewardError):
    """The answer is not one of a reward-model server: check the URL."""


class VersionChanged(RewardError):
    """Candidates of one prompt were scored by different models, so they cannot be compared."""


class NoScore(RewardError):
    """A score was needed, but the candidate has an error; `code` is that error's."""

"""What can go wrong with a whole call. What is wrong with one candidate is a value: `Score.error`.

No message repeats a text that was sent.
"""


class RewardError(Exception):
    """Base of all that this package raises.

    Attributes:
        message: the server's own words, where it has answered.
        status: of HTTP; None without an answer.
        code: the server's name for the error, for example `queue_full`.
        param: the field at fault, if one is.
        request_id: by which the server's log names the request.
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
    """The server does not take the request as it is: correct it."""


class ServerFault(RewardError):
    """The server failed on it, and would again; its log has the request's id."""


class Unavailable(RewardError):
    """Overloaded, starting or unreachable, and no time was left for another try."""


class DeadlineExceeded(RewardError):
    """The timeout passed before the scores were there."""


class BadAnswer(RewardError):
    """An answer that no reward-model server of this kind sends: is the URL right?"""


class VersionChanged(RewardError):
    """Candidates of one prompt were scored by different models, so they do not compare."""


class NoScore(RewardError):
    """A score was needed, and the candidate has an error instead; `code` is that error's."""

"""The tree of errors: what each carries. Their statuses: `http/test_error_responses`."""

from service.errors import Draining, InvalidRequest, NotReady, QueueFull, QuotaExceeded, Unavailable


def test_an_error_carries_its_message_and_the_field_at_fault() -> None:
    error = InvalidRequest("leave it out", param="steps")
    assert (str(error), error.message, error.param) == ("leave it out", "leave it out", "steps")
    assert InvalidRequest("leave it out").param is None


def test_what_is_worth_another_try_says_when() -> None:
    for kind in (NotReady, Draining, QueueFull, QuotaExceeded):
        error = kind("later", retry_after=7)
        assert isinstance(error, Unavailable)
        assert error.retry_after == 7

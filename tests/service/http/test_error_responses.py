import pytest

from service import errors
from service.errors import ServiceError
from service.http.error_responses import STATUS, answer


def leaves(kind: type[ServiceError]) -> set[type[ServiceError]]:
    below = kind.__subclasses__()
    return {kind} if not below else set().union(*(leaves(child) for child in below))


def test_the_table_has_every_error() -> None:
    assert set(STATUS) == leaves(ServiceError)
    codes = [error.code for error in STATUS]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize(
    "kind", [errors.QueueFull, errors.QuotaExceeded, errors.NotReady, errors.Draining]
)
def test_what_is_only_unavailable_says_when_to_come_back(kind: type[errors.Unavailable]) -> None:
    response = answer(kind("later", retry_after=7))
    assert (response.status_code, response.headers["retry-after"]) == (503, "7")


def test_the_shape_is_openai_s() -> None:
    response = answer(errors.InvalidRequest("inputs is required", param="inputs"))
    assert bytes(response.body) == (
        b'{"error":{"message":"inputs is required","type":"invalid_request_error",'
        b'"param":"inputs","code":"invalid_request"}}'
    )

"""The table of statuses, the headers of errors, and the shapes that dialects give them."""

import pytest
from fastapi import FastAPI

from service import errors
from service.app import create_app
from service.errors import ServiceError
from service.http.error_responses import STATUS, error_response
from service.settings import Settings


@pytest.fixture
def app() -> FastAPI:
    return create_app(Settings())


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
def test_an_unavailable_service_says_when_to_come_back(
    app: FastAPI, kind: type[errors.Unavailable]
) -> None:
    response = error_response(app, kind("later", retry_after=7), "/v1/score")
    assert (response.status_code, response.headers["retry-after"]) == (503, "7")


def test_a_draining_server_closes_the_connection(app: FastAPI) -> None:
    draining = error_response(app, errors.Draining("later", retry_after=7), "/v1/score")
    full = error_response(app, errors.QueueFull("later", retry_after=7), "/v1/score")
    assert draining.headers["connection"] == "close"
    assert "connection" not in full.headers


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (
            "/v1/score",
            b'{"error":{"message":"inputs is required","type":"invalid_request_error",'
            b'"param":"inputs","code":"invalid_request"}}',
        ),
        (
            "/classify",
            b'{"error":{"message":"inputs is required","type":"BadRequestError",'
            b'"param":"inputs","code":422}}',
        ),
        ("/get_reward", b'{"detail":"inputs is required"}'),
        ("/v2/rerank", b'{"message":"inputs is required"}'),
        ("/v2/models/a/b/infer", b'{"error":"inputs is required"}'),
    ],
)
def test_the_path_decides_the_shape(app: FastAPI, path: str, body: bytes) -> None:
    error = errors.InvalidRequest("inputs is required", param="inputs")
    assert bytes(error_response(app, error, path).body) == body


def test_a_path_of_no_dialect_has_openai_s_shape(app: FastAPI) -> None:
    response = error_response(app, errors.NoSuchRoute("not here"), "/no/such/path")
    assert response.status_code == 404
    assert b'"code":"not_found"' in bytes(response.body)

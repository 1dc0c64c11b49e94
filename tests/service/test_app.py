import re
from inspect import iscoroutinefunction

import pytest
from fastapi.routing import APIRoute

from service import errors
from service.app import DIALECTS, STATUS, answer
from service.errors import ServiceError
from service.routes import either_score, ops
from tests.service.fakes import running


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


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
async def test_documentation_loads_nothing_from_elsewhere(page: str) -> None:
    async with running() as app:
        html = (await app.client.get(page)).text
        needed = re.findall(r"(?:src|href)=\"([^\"]+)", html)
        answers = [await app.client.get(each) for each in needed]
    assert any(each.endswith(".js") for each in needed)
    assert {answer.status_code for answer in answers} == {200}
    assert "://" not in html.replace("http://www.w3.org", "")


def test_no_request_is_taken_to_a_thread_and_back() -> None:
    """FastAPI does that for plain functions; a refusal would cost twice, and wait for its turn."""
    routers = [dialect.router for dialect in (*DIALECTS.values(), either_score.DIALECT)]
    routes = [route for router in (*routers, ops.router) for route in router.routes]
    called = [
        dependant.call
        for route in routes
        if isinstance(route, APIRoute)
        for dependant in (route.dependant, *route.dependant.dependencies)
    ]
    assert len(called) > len(routes)
    assert all(iscoroutinefunction(call) for call in called)

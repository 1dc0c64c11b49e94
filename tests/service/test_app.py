import re
from inspect import iscoroutinefunction

import pytest
from fastapi.routing import APIRoute

from service.app import DIALECTS
from service.routes import ops
from service.routes.native.routes import EITHER
from tests.service.fakes import running


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
    routers = [dialect.router for dialect in (*DIALECTS.values(), EITHER)]
    routes = [route for router in (*routers, ops.router) for route in router.routes]
    called = [
        dependant.call
        for route in routes
        if isinstance(route, APIRoute)
        for dependant in (route.dependant, *route.dependant.dependencies)
    ]
    assert len(called) > len(routes)
    assert all(iscoroutinefunction(call) for call in called)

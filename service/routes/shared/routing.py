"""Parts of routes: strict JSON bodies, access to the service, and marks on probes."""

import re
from collections.abc import Callable, Coroutine, Iterable
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute

from service.errors import InvalidRequest
from service.routes.shared.json_body import JsonRequest
from service.service import Service

Endpoint = TypeVar("Endpoint", bound=Callable[..., object])


# A coroutine, because FastAPI would take a plain function to a thread and back for every request.
async def _service(request: Request) -> Service:
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


ServiceOf = Annotated[Service, Depends(_service)]
"""A route's parameter of this type is the service that the route belongs to."""


def probe(endpoint: Endpoint) -> Endpoint:
    """Mark a route as a probe of orchestrators and load balancers.

    A probe needs no API key and no trusted host, is logged at debug only, and is not traced.
    """
    # Marked where it is defined, so that no list of paths elsewhere can be out of date. `vars`,
    # because mypy knows no attributes of functions.
    vars(endpoint)["is_probe"] = True
    return endpoint


def is_probe(route: object) -> bool:
    """Tell whether a route is marked as a probe; None is no route and no probe."""
    return getattr(getattr(route, "endpoint", None), "is_probe", False)


def probe_paths(routers: Iterable[APIRouter]) -> list[re.Pattern[str]]:
    """Return the patterns of the paths of all probes."""
    return [
        route.path_regex
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute) and is_probe(route)
    ]


class JsonRoute(APIRoute):
    """A route whose body is parsed as `JsonRequest` does, and whose criteria are never ignored."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[object, object, Response]]:
        handle = super().get_route_handler()
        reads_criteria = any(one.alias == "criteria" for one in self.dependant.query_params)

        async def handle_strictly(request: Request) -> Response:
            # A score without the criteria that the address asks for looks like any other.
            asked = request.query_params.getlist("criteria")
            if asked and not reads_criteria:
                raise InvalidRequest(
                    "criteria is in the address, where this route does not read it: send it in "
                    "the body (docs/criteria.md)",
                    param="criteria",
                )
            if len(asked) > 1:
                raise InvalidRequest(
                    "criteria is in the address twice: separate its entries by commas",
                    param="criteria",
                )
            return await handle(JsonRequest(request.scope, request.receive))

        return handle_strictly

"""A dialect: the routes that one family of clients calls, and the shape that its errors have."""

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.routing import Route

from service.routes.shared.error_shapes import ErrorShape


@dataclass(frozen=True)
class Dialect:
    """Routes, and the JSON in which their clients look for the message of an error."""

    router: APIRouter
    error_shape: ErrorShape

    @property
    def routes(self) -> list[Route]:
        return [route for route in self.router.routes if isinstance(route, Route)]

    def owns(self, path: str) -> bool:
        """Tell whether a route of this dialect has the path."""
        return any(route.path_regex.match(path) for route in self.routes)


def names_by_route(dialects: Mapping[str, Dialect]) -> dict[str, str]:
    """Map each route's template to the name of the first dialect that has it."""
    names: dict[str, str] = {}
    for name, dialect in dialects.items():
        for route in dialect.routes:
            # A route that serves two dialects corrects this in the record by itself.
            names.setdefault(route.path, name)
    return names

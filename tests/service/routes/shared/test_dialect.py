"""Which dialect has a path."""

from fastapi import APIRouter

from service.routes.shared.dialect import Dialect, names_by_route
from service.routes.shared.error_shapes import detail_error, openai_error


def dialect(*paths: str) -> Dialect:
    router = APIRouter()
    for path in paths:
        router.add_api_route(path, lambda: None)
    return Dialect(router, openai_error)


def test_a_dialect_owns_the_paths_of_its_routes() -> None:
    one = dialect("/score", "/models/{model:path}/infer")
    owned = [one.owns(path) for path in ("/score", "/models/a/b/infer", "/scores", "/")]
    assert owned == [True, True, False, False]


def test_the_first_of_two_dialects_with_a_path_names_it() -> None:
    dialects = {"first": dialect("/a", "/b"), "second": dialect("/b", "/c")}
    assert names_by_route(dialects) == {"/a": "first", "/b": "first", "/c": "second"}


def test_dialects_differ_in_the_shape_of_their_errors() -> None:
    router = APIRouter()
    assert Dialect(router, detail_error) != Dialect(router, openai_error)

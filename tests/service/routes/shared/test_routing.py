"""Routes that are marked as probes."""

from fastapi import APIRouter

from service.routes.shared.routing import is_probe, probe, probe_paths


def test_a_route_says_that_it_is_a_probe() -> None:
    router = APIRouter()

    @router.head("/alive")
    @router.get("/alive")
    @router.get("/models/{model:path}/alive")
    @probe
    async def alive() -> None: ...

    @router.get("/other")
    async def other() -> None: ...

    patterns = probe_paths([router])
    paths = ("/alive", "/models/a/b/alive", "/other", "/alive/x")
    assert [any(one.match(path) for one in patterns) for path in paths] == [True, True] + [
        False
    ] * 2
    assert [is_probe(route) for route in router.routes] == [True, True, True, False]
    assert not is_probe(None)

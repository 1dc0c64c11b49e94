"""Loads, swaps and unloads models while the service runs; on a port of its own."""

import hmac
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Header, Request
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel, ConfigDict, Field
from starlette.routing import Route

from service.errors import NotAllowed
from service.http.error_responses import add_error_handlers, error_response
from service.http.gate import Gate
from service.http.middleware import RequestMiddleware
from service.models.loaded_model import LoadedModel
from service.routes.shared.error_shapes import OPENAI_ERRORS
from service.routes.shared.routing import JsonRoute, ServiceOf
from service.service import Service

_MOST_BODY_BYTES = 64 * 1024
"""It is read before the key is looked at."""


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Load(_Body):
    source: str = Field(
        min_length=1, description="A release or checkpoint directory, or a hub id, as --model."
    )
    name: str | None = Field(None, min_length=1, description="Instead of its own.")
    current: bool = Field(
        False, description="Whether its name without a version means this one from then on."
    )


class Version(_Body):
    model: str = Field(min_length=1, description="`name@version`.")


class Cast(_Body):
    model: str | None = Field(description="`name@version`; null ends it.")
    share: float = Field(0.1, gt=0, le=1, description="Of the requests, chosen at random.")


class Loaded(BaseModel):
    model: str = Field(description="`name@version`.")
    current: bool = Field(description="Whether its name without a version means this one.")
    default: bool = Field(description="Whether requests that name no model get it.")
    requests: int = Field(description="That it scores now.")


class LoadedList(BaseModel):
    data: list[Loaded]


def _admit(request: Request, authorization: Annotated[str, Header()] = "") -> None:
    key: str = request.app.state.admin_key
    if not hmac.compare_digest(authorization.encode(), f"Bearer {key}".encode()):
        raise NotAllowed("send the admin key: Authorization: Bearer KEY")


router = APIRouter(
    prefix="/v1/admin",
    tags=["admin"],
    route_class=JsonRoute,
    dependencies=[Depends(_admit)],
    responses={status: OPENAI_ERRORS[status] for status in (400, 422, 503)},
)


@router.get("/models", summary="What is loaded")
async def loaded(service: ServiceOf) -> LoadedList:
    return LoadedList(data=[_described(service, served) for served in service.catalogue])


@router.post("/load", summary="Load a model beside the others")
async def load(body: Load, service: ServiceOf) -> Loaded:
    """Answers when it is proven: hashes checked, warm, golden scores replayed. Until then, and if
    it fails, nothing changes for anybody.
    """
    return _described(service, await service.load(body.source, body.name, current=body.current))


@router.post("/current", summary="Make a version what its name means")
async def make_current(body: Version, service: ServiceOf) -> Loaded:
    """Requests that come after it get this version; those that run end on the one they have."""
    return _described(service, service.catalogue.make_current(body.model))


@router.post("/shadow", summary="Let a version score a sample, for the metrics alone")
async def shadow(body: Cast, service: ServiceOf) -> Cast:
    """Answers are not touched; `reward_shadow_difference` has what it would have changed."""
    served = None if body.model is None else service.find(body.model)
    service.shadow.assign(served, body.share)
    return body


@router.post("/unload", summary="Let a version go")
async def unload(body: Version, service: ServiceOf) -> LoadedList:
    """Answers when the requests that have it are answered and its memory is free."""
    await service.unload(body.model)
    return await loaded(service)


def create_admin_app(service: Service, key: str) -> FastAPI:
    """The app; the service is started and ended by another one."""
    app = FastAPIOffline(title="codepmp reward-model server: admin", version="1")
    app.state.service, app.state.admin_key, app.state.dialects = service, key, ()
    app.include_router(router)
    add_error_handlers(app)
    app.add_middleware(
        RequestMiddleware,
        max_body_bytes=_MOST_BODY_BYTES,
        metrics=service.metrics,
        gate=Gate(),
        respond=partial(error_response, app),
        dialects={route.path: "admin" for route in router.routes if isinstance(route, Route)},
    )
    return app


def _described(service: Service, served: LoadedModel) -> Loaded:
    models = service.catalogue
    return Loaded(
        model=served.key,
        current=models.is_current(served),
        default=served is models.default,
        requests=served.in_use,
    )

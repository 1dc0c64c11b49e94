"""The admin interface: loads, swaps and unloads models while the service runs, on its own port."""

import hmac
from functools import partial
from typing import Annotated, Self

from fastapi import APIRouter, FastAPI
from fastapi_offline import FastAPIOffline
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.datastructures import Headers
from starlette.routing import Route
from starlette.types import Scope

from reward_model.release.names import require_name
from service.auth.account import UNLIMITED, Account
from service.errors import NotAllowed
from service.http.error_responses import add_error_handlers, error_response
from service.http.gate import Gate
from service.http.middleware import RequestMiddleware
from service.models.catalogue import ModelCatalogue
from service.models.loaded_model import LoadedModel
from service.routes.shared.error_shapes import OPENAI_ERRORS
from service.routes.shared.routing import JsonRoute, ServiceOf
from service.service import Service

_MAX_BODY_BYTES = 64 * 1024


class AdminBody(BaseModel):
    """Base of request bodies: no coercion and no unknown fields."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class LoadBody(AdminBody):
    source: str = Field(
        min_length=1, description="A release or checkpoint directory, or a hub id, as for --model."
    )
    name: Annotated[str, AfterValidator(require_name)] | None = Field(
        None, description="Name to use instead of its own."
    )
    current: bool = Field(
        False, description="Whether requests for the name without a version get this one from then."
    )


class VersionBody(AdminBody):
    model: str = Field(min_length=1, description="`name@version`.")


class ShadowBody(AdminBody):
    model: str | None = Field(description="`name@version`; null ends the shadow.")
    share: float = Field(0.1, gt=0, le=1, description="Share of requests, chosen at random.")


class LoadedVersion(BaseModel):
    model: str = Field(description="`name@version`.")
    current: bool = Field(description="Whether requests for the name without a version get it.")
    default: bool = Field(description="Whether requests that name no model get it.")
    requests: int = Field(description="Number of requests that it scores now.")

    @classmethod
    def of(cls, loaded: LoadedModel, catalogue: ModelCatalogue) -> Self:
        return cls(
            model=loaded.key,
            current=catalogue.is_current(loaded),
            default=loaded is catalogue.default,
            requests=loaded.in_use,
        )


class LoadedVersions(BaseModel):
    data: list[LoadedVersion]


class AdminGate(Gate):
    """Lets in requests with the admin key alone, whatever their path, before a body is read."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self._key = key.encode()

    def admit(self, scope: Scope) -> Account:
        """Return the account that a request is counted for.

        Raises:
            NotAllowed: the request does not have the key.
        """
        scheme, _, presented = Headers(scope=scope).get("authorization", "").partition(" ")
        # Headers are decoded as Latin-1. The bytes are compared in constant time, so that the time
        # of a refusal tells nothing about the key.
        same = hmac.compare_digest(presented.strip().encode("latin-1"), self._key)
        if scheme.lower() != "bearer" or not same:
            raise NotAllowed("send the admin key: Authorization: Bearer KEY")
        return UNLIMITED


router = APIRouter(
    prefix="/v1/admin",
    tags=["admin"],
    route_class=JsonRoute,
    responses={status: OPENAI_ERRORS[status] for status in (400, 401, 422, 503)},
)


@router.get("/models", summary="List the loaded models")
async def list_models(service: ServiceOf) -> LoadedVersions:
    catalogue = service.catalogue
    return LoadedVersions(data=[LoadedVersion.of(loaded, catalogue) for loaded in catalogue])


@router.post("/load", summary="Load a model beside the others")
async def load(body: LoadBody, service: ServiceOf) -> LoadedVersion:
    """Answers when the model is proven: hashes checked, warm, golden scores replayed. Until then,
    and if it fails, nothing changes.
    """
    loaded = await service.load(body.source, body.name, current=body.current)
    return LoadedVersion.of(loaded, service.catalogue)


@router.post("/current", summary="Make a version the current one of its name")
async def make_current(body: VersionBody, service: ServiceOf) -> LoadedVersion:
    """Later requests get this version; those that run finish on the version they have."""
    loaded = service.catalogue.make_current(body.model)
    return LoadedVersion.of(loaded, service.catalogue)


@router.post("/shadow", summary="Let a version score a sample, for the metrics alone")
async def shadow(body: ShadowBody, service: ServiceOf) -> ShadowBody:
    """Answers do not change; `reward_shadow_difference` shows what would have changed."""
    loaded = None if body.model is None else service.find(body.model)
    service.shadow.assign(loaded, body.share)
    return body


@router.post("/unload", summary="Unload a version")
async def unload(body: VersionBody, service: ServiceOf) -> LoadedVersions:
    """Answers when the requests that hold the version are answered and its memory is free."""
    await service.unload(body.model)
    return await list_models(service)


def create_admin_app(service: Service, key: str) -> FastAPI:
    """Make the app of the admin port. The main app starts and ends the service."""
    app = FastAPIOffline(title="codepmp reward-model server: admin", version="1")
    app.state.service, app.state.dialects = service, ()
    app.include_router(router)
    add_error_handlers(app)
    app.add_middleware(
        RequestMiddleware,
        max_body_bytes=_MAX_BODY_BYTES,
        max_bodies_bytes=16 * _MAX_BODY_BYTES,
        body_advice="the limit of the admin interface",
        metrics=service.metrics,
        gate=AdminGate(key),
        respond=partial(error_response, app),
        dialects={route.path: "admin" for route in router.routes if isinstance(route, Route)},
    )
    return app

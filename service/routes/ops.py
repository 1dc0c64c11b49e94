"""Routes for operators and orchestrators: liveness, readiness, metrics, and what is served."""

from typing import Literal

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field

from reward_model.release.calibration import Calibration
from service.errors import NotReady
from service.routes.shared.error_shapes import OpenaiError
from service.routes.shared.routing import ServiceOf, probe
from service.scoring.types import ScoreType

router = APIRouter(tags=["operations"])


class Alive(BaseModel):
    status: Literal["alive"] = "alive"


class Readiness(BaseModel):
    ready: bool
    reason: str | None = Field(description="Why it is not ready; null when it is.")


class ServedCriterion(BaseModel):
    kind: Literal["prompt", "label"] = Field(
        description="A system prompt of the release, or a label of the checkpoint's head."
    )
    weight: float | None = Field(
        description="In a request that gives none; null where it has to give one."
    )
    default_weight: float | None = Field(
        description="In a request without `criteria`; null where it does not count there."
    )


class ServedModel(BaseModel):
    """OpenAI's model object, and what else a client of a reward model needs to know."""

    id: str
    object: Literal["model"] = "model"
    # OpenAI's SDK requires the field; a release does not record when it was made.
    created: int = 0
    owned_by: str = "codepmp"
    version: str
    max_tokens: int = Field(description="Longest conversation, in tokens.")
    dtype: str = Field(description="Type of the backbone; scores are float32.")
    current: bool = Field(description="Whether its name without a version means this version.")
    shares_prefixes: bool
    matrix_units: bool = Field(
        description="Whether float32 products run on the CPU's matrix unit, as bfloat16 ones."
    )
    engine_processes: int = Field(
        description="Processes that hold the model and compute batches side by side."
    )
    score_type: ScoreType = Field(
        "raw_logit", description="What the score of a request without `criteria` is."
    )
    criteria: dict[str, ServedCriterion] = Field(
        description="What it can be asked to judge by, by name; empty for most models."
    )
    calibration: Calibration | None
    warnings: list[str]


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ServedModel]


# Some load balancers probe with HEAD, which FastAPI does not add to a GET route.
@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", summary="Is the process alive?")
@probe
async def healthz() -> Alive:
    return Alive()


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    summary="Would a request be scored now?",
    responses={503: {"model": Readiness, "description": "Not now; says why."}},
)
@probe
async def readyz(response: Response, service: ServiceOf) -> Readiness:
    reason = service.unready
    response.status_code = 503 if reason else 200
    return Readiness(ready=reason is None, reason=reason)


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
@probe
async def metrics(service: ServiceOf) -> Response:
    return Response(service.metrics.render(), media_type=CONTENT_TYPE_LATEST)


@router.get(
    "/v1/models",
    summary="What is served",
    responses={503: {"model": OpenaiError, "description": "The model is not loaded yet."}},
)
async def models(service: ServiceOf) -> ModelList:
    # Models are listed while the service drains, too, but not before the first one is proven.
    if service.catalogue.default is None:
        raise NotReady(str(service.unready), retry_after=2)
    served = []
    for loaded in service.catalogue:
        model, facts, criteria = loaded.model, loaded.model.engine.facts, loaded.model.criteria
        served.append(
            ServedModel(
                id=model.name,
                version=model.release.version,
                current=service.catalogue.is_current(loaded),
                max_tokens=facts.max_tokens,
                dtype=facts.dtype,
                shares_prefixes=facts.shares_prefixes,
                matrix_units=facts.matrix_units,
                engine_processes=facts.processes,
                score_type="weighted_raw" if criteria.default else "raw_logit",
                criteria={
                    name: ServedCriterion(
                        kind="label" if criteria.labels else "prompt",
                        weight=criteria.weights.get(name),
                        default_weight=criteria.default.get(name),
                    )
                    for name in criteria.names
                },
                calibration=model.release.calibration,
                warnings=list(model.release.warnings),
            )
        )
    return ModelList(data=served)

"""The field `criteria` of requests: what to score by, with weights or without."""

from typing import Annotated

from fastapi import Query
from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from reward_model.release.manifest import MAX_WEIGHT
from service.routes.shared.body_types import Name
from service.routes.shared.refused import Refused
from service.scoring.types import AskedCriteria as Asked
from service.scoring.types import ItemScore
from service.settings import read_weights

# Strict, which takes 1 as well as 1.0, and neither true nor "1".
Weight = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-MAX_WEIGHT, le=MAX_WEIGHT)]

# As many as a model may have labels.
_MAX_NAMES = 64


def _limit_names(value: object) -> object:
    # pydantic counts them after it has collected an error of each.
    if isinstance(value, dict | list) and len(value) > _MAX_NAMES:
        raise ValueError(f"has more entries than the {_MAX_NAMES} that it may have")
    return value


AskedCriteria = Annotated[
    Annotated[dict[Name, Weight], Tag("<weights>")] | Annotated[list[Name], Tag("<names>")],
    Discriminator(lambda value: "<names>" if isinstance(value, list) else "<weights>"),
    BeforeValidator(_limit_names),
]

CRITERIA = Field(
    None,
    description="Score by these criteria of the release, or labels of the checkpoint: an object of "
    "names and weights, or a list of names with the weights of the release. The score is the "
    "weighted sum; empty asks for the score without any criterion (docs/criteria.md).",
)


def names_and_weights(asked: dict[str, float] | list[str] | None) -> Asked | None:
    """Return what is asked for as the scorer takes it."""
    return tuple(asked) if isinstance(asked, list) else asked


def _check_text(text: str) -> str:
    entries = [entry for entry in text.split(",") if entry.strip()]
    _limit_names(entries)
    read_weights(text)
    # One without a weight beside others with theirs could mean 1, or the weight of the release.
    if len({"=" in entry for entry in entries}) > 1:
        raise ValueError("has a weight for some of its names alone: give all of them one, or none")
    return text


CriteriaText = Annotated[str, Field(max_length=10_000), AfterValidator(_check_text)]
"""Criteria where a protocol has room for a text alone: `correctness=1.0,readability=0.5`, or names
without any weight, which have those of the release."""

CriteriaQuery = Annotated[
    CriteriaText | None,
    Query(
        alias="criteria",
        description="Score by these criteria or labels: names, or name=weight, separated by "
        "commas (docs/criteria.md).",
    ),
]
"""For dialects whose client lets its user choose nothing but the address."""

# A score without the criteria that somebody asked for looks like any other.
CriteriaElsewhere = Annotated[
    object, Refused("the address asks for criteria, as in ?criteria=correctness=1")
]
"""The field `criteria` in a body of those dialects, which is not read there."""


def from_text(text: str | None) -> Asked | None:
    """Return what a text asks for as the scorer takes it."""
    if text is None:
        return None
    weights = read_weights(text)
    return weights if "=" in text else tuple(weights)


def vector(item: ItemScore, asked: object) -> list[float]:
    """Return the raw scores of an item as a vector.

    A request that asks for criteria gets a number for each, in its order; any other gets one, which
    may be the weighted sum of the model's default.
    """
    scores = [part.raw for part in item.parts.values()] if asked else [item.raw]
    return [score for score in scores if score is not None]

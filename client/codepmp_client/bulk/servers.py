"""Finds out, before anything is scored, whether the servers answer and serve the same model."""

import asyncio
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import TypedDict

import httpx

from codepmp_client.errors import BadAnswer, Refused, Unavailable, VersionChanged

Model = tuple[str, str]
"""Name and version."""

# Seconds between two looks at a server that is starting.
_PAUSE = 1.0


class _Listed(TypedDict):
    id: str
    version: str


class _Models(TypedDict):
    data: list[_Listed]


async def check_servers(
    urls: Sequence[str],
    http: httpx.AsyncClient,
    note: Callable[[str], None],
    patience: float,
) -> list[Model]:
    """Return what the servers serve; empty if none of them lists it, for example behind a proxy.

    A server that is starting is waited for. One that cannot be reached is noted, and is no error as
    long as another one can.

    Raises:
        RewardError: none can be reached, one refuses the key, or they do not serve the same.
    """
    answers = await asyncio.gather(*(_models_of(url, http, note, patience) for url in urls))
    reached = [(url, found) for url, found in zip(urls, answers, strict=True) if found is not None]
    if not reached:
        raise Unavailable(f"no server answers at {' or '.join(urls)}: start it, or correct --url")
    for url, found in zip(urls, answers, strict=True):
        if found is None:
            note(f"{url} cannot be reached; it is tried again from time to time")
    listed = [(url, found) for url, found in reached if found]
    for url, found in listed[1:]:
        first_url, first = listed[0]
        if set(found) != set(first):
            raise VersionChanged(
                f"the servers do not serve the same: {first_url} serves {_names(first)}, and {url} "
                f"{_names(found)}. Give URLs of one version, or allow it with --mixed-versions"
            )
    return listed[0][1] if listed else []


async def _models_of(
    url: str, http: httpx.AsyncClient, note: Callable[[str], None], patience: float
) -> list[Model] | None:
    """Return the models that a server lists; None if it cannot be reached."""
    loop = asyncio.get_running_loop()
    until, noted = loop.time() + patience, False
    while True:
        try:
            response = await http.get(f"{url.rstrip('/')}/v1/models")
        except httpx.RequestError:
            return None
        match response.status_code:
            case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
                raise Refused(
                    f"{url} does not accept the key: name a file that has one with --api-key-file",
                    status=response.status_code,
                )
            case HTTPStatus.SERVICE_UNAVAILABLE if loop.time() < until:
                if not noted:
                    note(f"waiting until {url} is ready")
                    noted = True
                await asyncio.sleep(_PAUSE)
            case HTTPStatus.OK:
                return _read(url, response)
            case _:
                return []


def _read(url: str, response: httpx.Response) -> list[Model]:
    try:
        body: _Models = response.json()
        return [(entry["id"], entry["version"]) for entry in body["data"]]
    except (ValueError, KeyError, TypeError):
        raise BadAnswer(
            f"{url} lists models without versions: is it a reward-model server?",
            status=response.status_code,
        ) from None


def _names(models: Sequence[Model]) -> str:
    return ", ".join(f"{name} {version}" for name, version in models) or "nothing"

"""An engine without a model, and what it takes to run an app around it. All through real seams."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from fastapi import FastAPI
from pydantic import JsonValue
from starlette.types import Message, Scope
from tokenizers import Tokenizer, models, pre_tokenizers

from reward_model.packing import Sequence
from reward_model.release.calibration import Calibration
from reward_model.release.manifest import Golden
from reward_model.release.release import Release
from reward_model.text.chat import NO_INPUTS, Conversation, TemplateInputs
from reward_model.text.encoding import Encoder
from service.app import create_app
from service.engines.engine import BatchingHints, EngineDead, EngineFacts
from service.scoring.model import Model, open_model
from service.service import Service
from service.settings import Settings

MAX_TOKENS = 64
MAX_CHARACTERS = 10 * MAX_TOKENS
CALIBRATION = Calibration(mean=10.0, std=2.0, n=100, reference="a test")


class FakeEngine:
    """Scores a text with its number of tokens, so every test knows what the score must be."""

    facts = EngineFacts(
        dtype="float32", max_tokens=MAX_TOKENS, shares_prefixes=True, reads_steps=True
    )
    end_reason: str | None = None

    def __init__(self, batches_in_flight: int = 1) -> None:
        self.batching = BatchingHints(
            batches_in_flight=batches_in_flight,
            full_speed_tokens=8192,
            shares_cores=batches_in_flight == 1,
        )
        self.batches: list[list[Sequence]] = []
        self.closed = False

    def warm_up(self) -> None:
        self.score([])

    def serve(self) -> None:
        pass

    def score(self, batch: list[Sequence]) -> list[list[float]]:
        if self.closed:
            raise EngineDead("The engine is closed.")
        if any(len(sequence.ids) > self.facts.max_tokens for sequence in batch):
            raise ValueError("The text is too long.")
        if batch:
            self.batches.append(batch)
        return [[float(position + 1) for position in sequence.read_at] for sequence in batch]

    def close(self) -> None:
        self.closed = True


class GatedEngine(FakeEngine):
    """Begins a batch, says so, and waits to be let go on."""

    def __init__(self, batches_in_flight: int = 1) -> None:
        super().__init__(batches_in_flight)
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)

    def score(self, batch: list[Sequence]) -> list[list[float]]:
        if batch:
            self.begun.release()
            assert self.go_on.acquire(timeout=20), "no test let the batch go on"
        return super().score(batch)

    async def begins(self) -> None:
        assert await asyncio.to_thread(self.begun.acquire, timeout=10), "no batch was begun"


class HangingEngine(FakeEngine):
    """Does not come back from a text that ends in `!` until the test sets `over`."""

    def __init__(self) -> None:
        super().__init__()
        self.over = threading.Event()

    def score(self, batch: list[Sequence]) -> list[list[float]]:
        if any(bytes(sequence.ids).endswith(b"!") for sequence in batch):
            assert self.over.wait(60), "no test ended the hang"
        return super().score(batch)


class PlainTokenizer:
    """A token per byte, ASCII's own numbers: the conversation's contents, one after the other."""

    def __init__(self) -> None:
        split = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        ascii_ = [split.pre_tokenize_str(chr(byte))[0][0] for byte in range(128)]
        letters = ascii_ + sorted(set(split.alphabet()) - set(ascii_))
        vocabulary = {letter: index for index, letter in enumerate(letters)}
        self.backend_tokenizer = Tokenizer(models.BPE(vocabulary, []))
        self.backend_tokenizer.pre_tokenizer = split

    @property
    def special_tokens_map(self) -> dict[str, str]:
        return {}

    def get_chat_template(
        self, chat_template: str | None = None, tools: list[dict[str, JsonValue]] | None = None
    ) -> str:
        return "{% for turn in messages %}{{ turn.content }}{% endfor %}"


class ScriptedEncoder(Encoder):
    """Encodes conversations as it is told."""

    def __init__(self, script: Callable[[Conversation], Sequence]) -> None:
        super().__init__(PlainTokenizer(), max_tokens=MAX_TOKENS, pad_id=None)
        self._script = script

    def encode(
        self,
        conversation: Conversation,
        step_ends: tuple[int, ...] = (),
        inputs: TemplateInputs = NO_INPUTS,
    ) -> Sequence:
        return self._script(conversation)


ENCODER = Encoder(PlainTokenizer(), max_tokens=MAX_TOKENS, pad_id=None)
encode = ENCODER.encode


def release(*golden: Golden, tolerance: float = 0.0) -> Release:
    return Release(
        path=Path("fake"),
        name="fake-rm",
        version="1.2",
        dtype="float32",
        max_tokens=MAX_TOKENS,
        pad_id=None,
        calibration=CALIBRATION,
        golden=golden,
        golden_tolerance=tolerance,
        warnings=("not a real model",),
    )


def model(engine: FakeEngine | None = None, *golden: Golden) -> Model:
    return Model(
        name="fake-rm",
        release=release(*golden),
        encoder=ENCODER,
        max_characters=MAX_CHARACTERS,
        engine=engine or FakeEngine(),
    )


@dataclass(frozen=True)
class Running:
    """A started app and a client of it."""

    app: FastAPI
    client: httpx.AsyncClient
    service: Service = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "service", self.app.state.service)

    async def score(self, prompt: str, *candidates: str, **more: object) -> httpx.Response:
        entry = {"prompt": prompt, "candidates": list(candidates)}
        return await self.client.post("/v1/score", json={"inputs": [entry], **more})


async def raw_score(
    app: FastAPI, *events: Message, sent: list[Message] | None = None
) -> list[Message]:
    """`POST /v1/score` in plain ASGI, for what httpx's transport cannot do: hang up, fall silent.

    The app receives these events and then nothing more; returns what it sent, which `sent` shows
    even if the request is cancelled.
    """
    coming = iter(events)
    sent = [] if sent is None else sent

    async def receive() -> Message:
        for event in coming:
            return event
        silence: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        return await silence

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/score",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }
    await app(scope, receive, send)
    return sent


@asynccontextmanager
async def starting(
    opener: Callable[[Settings], Model], **settings: object
) -> AsyncIterator[Running]:
    """An app whose model may still be loading."""
    app = create_app(Settings.model_validate(settings), opener, trial=None)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test", timeout=10) as client,
    ):
        yield Running(app, client)


@asynccontextmanager
async def running(
    engine: FakeEngine | None = None, *golden: Golden, **settings: object
) -> AsyncIterator[Running]:
    """An app around a fake engine, as ready as it will get."""
    async with starting(lambda _: model(engine, *golden), **settings) as app:
        await app.service.started()
        yield app


async def unready(path: Path, **settings: object) -> tuple[str | None, str | None]:
    """(why it is not ready, why the process should not go on)."""
    async with starting(open_model, model=str(path), device="cpu", **settings) as app:
        await app.service.started()
        assert (await app.client.get("/healthz")).status_code == 200
        return app.service.unready, app.service.refusal

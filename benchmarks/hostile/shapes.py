"""Requests that are meant to do harm: bodies of 16 MB, and clients that behave badly."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import httpx

SIZE = 16 * 1024 * 1024 - 200
"""Bytes of a body: just below the server's default limit."""

_PATIENCE = 120.0
_JSON = {"Content-Type": "application/json"}
_STALLED = 130
"""Uploads that stop before their last byte."""

Attack = Callable[[str], Coroutine[None, None, Counter[str]]]
"""Does harm to the server at a URL; returns how often each status came back."""


@dataclass(frozen=True)
class Body:
    """A body that is sent several times at once."""

    content: bytes
    path: str = "/v1/score"
    times: int = 2

    async def __call__(self, url: str) -> Counter[str]:
        async with httpx.AsyncClient(base_url=url, timeout=_PATIENCE, trust_env=False) as client:
            return Counter(await asyncio.gather(*(self._send(client) for _ in range(self.times))))

    async def _send(self, client: httpx.AsyncClient) -> str:
        try:
            answer = await client.post(self.path, content=self.content, headers=_JSON)
        except httpx.HTTPError as error:
            return type(error).__name__
        return str(answer.status_code)


def _filled(part: bytes, size: int = SIZE) -> bytes:
    """A request whose inputs are as many of these parts as fit."""
    return b'{"inputs":[' + b",".join([part] * (size // (len(part) + 1))) + b"]}"


def _asking(**entry: object) -> bytes:
    return json.dumps({"inputs": [{"prompt": "p", **entry}]}).encode()


def _turns(turns: int, candidates: int) -> bytes:
    messages = [{"role": "user", "content": "x"}] * turns
    return json.dumps(
        {"inputs": [{"messages": messages, "candidates": ["a"] * candidates}]}
    ).encode()


def _steps(delimiter: str, candidates: list[object]) -> bytes:
    entry = {"prompt": "p", "candidates": candidates}
    return json.dumps({"inputs": [entry], "steps": {"delimiter": delimiter}}).encode()


def _ids(part: bytes, size: int = SIZE) -> bytes:
    return b'{"input":[' + b",".join([part] * (size // (len(part) + 1))) + b"]}"


def _tensor(texts: int) -> bytes:
    tensor = {"name": "sentences", "datatype": "BYTES", "shape": [texts], "data": ["a"] * texts}
    return json.dumps({"inputs": [tensor]}).encode()


def _keys(size: int) -> bytes:
    return b"{" + b",".join(b'"%07d":0' % number for number in range(size // 12)) + b"}"


async def _leave(url: str, content: bytes, clients: int, seconds: float) -> Counter[str]:
    """Ask, and leave before the answer."""

    async def ask(client: httpx.AsyncClient) -> str:
        try:
            answer = await client.post("/v1/score", content=content, headers=_JSON)
        except httpx.TimeoutException:
            return "left"
        return str(answer.status_code)

    async with httpx.AsyncClient(base_url=url, timeout=seconds, trust_env=False) as client:
        return Counter(await asyncio.gather(*(ask(client) for _ in range(clients))))


def _head(*lines: str) -> bytes:
    first = ("POST /v1/score HTTP/1.1", "Host: h", "Content-Type: application/json", *lines, "", "")
    return "\r\n".join(first).encode()


async def _connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parsed = httpx.URL(url)
    return await asyncio.open_connection(parsed.host, parsed.port)


async def _send_bits(url: str, count: int, clients: int) -> Counter[str]:
    """Send a body in chunks of one byte."""

    async def send() -> str:
        reader, writer = await _connect(url)
        try:
            writer.write(_head("Transfer-Encoding: chunked"))
            for _ in range(count // 1000):
                writer.write(b"1\r\n \r\n" * 1000)
                await writer.drain()
            writer.write(b"0\r\n\r\n")
            return (await reader.readline())[9:12].decode() or "closed"
        except ConnectionError:
            return "closed"
        finally:
            writer.close()

    return Counter(await asyncio.gather(*(send() for _ in range(clients))))


async def _stall(url: str, clients: int, seconds: float) -> Counter[str]:
    """Send all of a large body but its last byte, and wait."""

    async def send() -> str:
        reader, writer = await _connect(url)
        try:
            writer.write(_head(f"Content-Length: {SIZE}"))
            for _ in range(SIZE // 65_536):
                writer.write(b" " * 65_536)
                await writer.drain()
            async with asyncio.timeout(seconds):
                return (await reader.readline())[9:12].decode() or "closed"
        except TimeoutError:
            return "left"
        except ConnectionError:
            return "closed"
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    return Counter(await asyncio.gather(*(send() for _ in range(clients))))


_prepared: list[Attack] = []
"""In the attacker's process: the attack that comes next."""


def prepare(name: str, size: int) -> None:
    """Make an attack's bodies, which takes longer than sending them."""
    _prepared[:] = [attacks(size)[name]()]


def attack(url: str) -> Counter[str]:
    """Do what was prepared."""
    return asyncio.run(_prepared[0](url))


def attacks(size: int = SIZE) -> Mapping[str, Callable[[], Attack]]:
    """Return what makes each attack, by its name, for bodies of this size."""
    truncating = json.loads(_turns(1000, 1)) | {"over_length": "truncate_prompt"}
    for message in truncating["inputs"][0]["messages"]:
        message["content"] = "ab " * 133
    return {
        "lists": lambda: Body(_filled(b"[]", size)),
        "objects": lambda: Body(_filled(b"{}", size)),
        "objects with a field": lambda: Body(_filled(b'{"a":1}', size)),
        "lists 190 deep": lambda: Body(_filled(b"[" * 190 + b"]" * 190, size)),
        "lists 60 deep": lambda: Body(_filled(b"[" * 60 + b"]" * 60, size)),
        "one list without end": lambda: Body(b"[" * size),
        "99,000 lists": lambda: Body(_filled(b"[]", min(size, 3 * 99_000))),
        "99,000 objects": lambda: Body(_filled(b"{}", min(size, 3 * 99_000))),
        "empty texts": lambda: Body(_filled(b'""', size)),
        "499,000 texts": lambda: Body(_filled(b'"ab"', min(size, 5 * 499_000))),
        "a million keys": lambda: Body(_keys(size)),
        "490,000 keys": lambda: Body(_keys(min(size, 12 * 490_000))),
        "fractions": lambda: Body(_filled(b"1.5", size)),
        "one number": lambda: Body(b'{"inputs":' + b"1" * size + b"}"),
        "escapes": lambda: Body(_asking(candidates=["@"]).replace(b"@", rb"\u0041" * (size // 6))),
        "backslashes": lambda: Body(_asking(candidates=["@"]).replace(b"@", rb"\\" * (size // 2))),
        "emoji": lambda: Body(_asking(candidates=["@"]).replace(b"@", "😀".encode() * (size // 4))),
        "token ids": lambda: Body(_ids(b"1", size), "/classify"),
        "long token ids": lambda: Body(_ids(b"12345", size), "/classify"),
        "lists of token ids": lambda: Body(_ids(b"[" + b"1," * 8191 + b"1]", size), "/classify"),
        "tensor of texts": lambda: Body(
            _tensor(min(size // 16, 250_000)), "/v2/models/tiny-code-rm/infer"
        ),
        "text of 16 MB": lambda: Body(_asking(candidates=["a" * size])),
        "wrong candidates": lambda: Body(_asking(candidates=[1] * (size // 4))),
        "long delimiter": lambda: Body(_steps("d" * (size // 2), [["a"] * (size // 10)])),
        "steps of one text": lambda: Body(_steps("\n", ["a\n" * (size // 3)])),
        "400,000 steps": lambda: Body(_steps("\n", ["a\n" * min(size // 3, 400_000)])),
        "turns x candidates": lambda: Body(_turns(min(size // 40, 99_000), 1024)),
        "truncation, clients leave": lambda: partial(
            _leave, content=json.dumps(truncating).encode(), clients=4, seconds=2.0
        ),
        "chunks of one byte": lambda: partial(_send_bits, count=size // 6, clients=4),
        "stalled uploads": lambda: partial(_stall, clients=_STALLED, seconds=5.0),
        "64 whole bodies": lambda: Body(_asking(candidates=["a" * size]), times=64),
    }

"""A real server on a real socket, for clients that write bytes themselves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from service.app import create_app
from service.http.server import Server, listen
from service.settings import Settings
from tests.service.fakes import FakeEngine, model

HEAD = b"POST /v1/score HTTP/1.1\r\nHost: h\r\n"
PATIENCE = 30
"""Seconds; only a broken server needs them."""


@asynccontextmanager
async def serving(engine: FakeEngine | None = None, **settings: object) -> AsyncIterator[int]:
    """The port of a server in this process."""
    named = Settings.model_validate({"port": 0, "drain_seconds": 0, **settings})
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    server = Server(create_app(named, lambda _: model(engine)), named, port.set_result)
    running = asyncio.create_task(server.serve(sockets=[listen(named.host, named.port)]))
    try:
        yield await asyncio.wait_for(port, PATIENCE)
    finally:
        server.should_exit = True
        await running


async def read_to_end(reader: asyncio.StreamReader) -> bytes:
    """What the server sends until it closes, which resets a connection that still brings bytes."""
    sent = b""
    with suppress(ConnectionResetError):
        while chunk := await asyncio.wait_for(reader.read(4096), PATIENCE):
            sent += chunk
    return sent


async def exchange(port: int, *parts: bytes, ends: bool = False) -> bytes:
    """Send these bytes, perhaps end the sending side, and return all that the server answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            with suppress(ConnectionError):
                await writer.drain()
        if ends:
            writer.write_eof()
        return await read_to_end(reader)
    finally:
        writer.close()

"""A real server on a real socket, and clients that take their time."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from service.http.server import listen
from tests.service.http.sockets import HEAD, read_to_end, serving


async def trickle(writer: asyncio.StreamWriter) -> None:
    """A byte at a time, until the connection is gone."""
    while not writer.is_closing():
        writer.write(b"x")
        await asyncio.sleep(0.001)


@asynccontextmanager
async def trickling(port: int, start: bytes) -> AsyncIterator[asyncio.StreamReader]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(start)
    sending = asyncio.create_task(trickle(writer))
    try:
        yield reader
    finally:
        sending.cancel()
        writer.close()


@pytest.mark.parametrize("start", [b"", HEAD + b"X-Slow: "])
async def test_a_head_that_does_not_come_ends_its_connection(
    monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    monkeypatch.setattr("service.http.connection.HEAD_SECONDS", 0.05)
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(start)
        assert await read_to_end(reader) == b""
        writer.close()


async def test_a_head_that_trickles_ends_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also on a connection that had an answer before."""
    monkeypatch.setattr("service.http.connection.HEAD_SECONDS", 0.05)
    async with serving() as port:
        answered = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"
        async with trickling(port, answered + HEAD + b"X-Slow: ") as reader:
            sent = await read_to_end(reader)
    assert sent.count(b"HTTP/1.1") == 1


async def test_a_whole_head_takes_the_time_limit_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.http.connection.HEAD_SECONDS", 0.05)
    monkeypatch.setattr("service.http.request_body._BODY_SECONDS", 0.3)
    async with serving() as port, trickling(port, HEAD + b"Content-Length: 9999\r\n\r\n") as reader:
        sent = await read_to_end(reader)
    assert sent.startswith(b"HTTP/1.1 408 ")


async def test_a_body_that_trickles_ends_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.http.request_body._BODY_SECONDS", 0.05)
    async with serving() as port, trickling(port, HEAD + b"Content-Length: 9999\r\n\r\n") as reader:
        sent = await read_to_end(reader)
    assert sent.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in sent.lower()


async def test_a_head_without_end_is_400() -> None:
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD + b"X-Long: " + b"x" * 20_000)
        assert (await read_to_end(reader)).startswith(b"HTTP/1.1 400 ")
        writer.close()


async def test_an_upgrade_is_not_taken() -> None:
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, close\r\n"
            b"Upgrade: websocket\r\n\r\n"
        )
        assert (await read_to_end(reader)).startswith(b"HTTP/1.1 200 ")
        writer.close()


def test_an_answer_is_sent_at_once() -> None:
    """Nagle's algorithm would hold every body back until the client's delayed acknowledgement."""
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
async def test_every_address_of_ipv6_includes_those_of_ipv4() -> None:
    async with serving(host="::") as port:
        for address in ("127.0.0.1", "::1"):
            _, writer = await asyncio.open_connection(address, port)
            writer.close()


def test_the_kernel_holds_many_connections_however_few_are_accepted_at_once() -> None:
    with listen("127.0.0.1", 0) as listener:
        listener.listen(1)
        clients = [socket.create_connection(listener.getsockname(), 1) for _ in range(64)]
        for client in clients:
            client.close()

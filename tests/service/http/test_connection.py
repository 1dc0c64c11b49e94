"""HTTP as it comes over a socket: what a proxy may read otherwise, bit by bit, or half closed."""

import asyncio
import time
from pathlib import Path

import pytest

from service.auth.key_file import digest_of
from tests.service.fakes import FakeEngine, GatedEngine
from tests.service.http.sockets import exchange, read_to_end, serving

BODY = b'{"inputs":[{"prompt":"p","candidates":["a"]}]}'
JSON = b"Content-Type: application/json\r\n"
CLOSE = b"Connection: close\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def head(*lines: bytes, start: bytes = b"POST /v1/score HTTP/1.1\r\n") -> bytes:
    return start + b"Host: h\r\n" + JSON + b"".join(lines) + b"\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def status(answer: bytes) -> int:
    return int(answer[9:12] or 0)


async def test_requests_as_usual_clients_send_them_are_answered() -> None:
    async with serving() as port:
        for request in (
            head(LENGTH, CLOSE) + BODY,
            head(CHUNKED, CLOSE) + chunk(BODY) + b"0\r\n\r\n",
            head(CHUNKED, CLOSE) + chunk(BODY[:9]) + chunk(BODY[9:]) + b"0\r\n\r\n",
            head(LENGTH, start=b"POST /v1/score HTTP/1.0\r\n") + BODY,
        ):
            assert status(await exchange(port, request)) == 200
            split = [request[index : index + 7] for index in range(0, len(request), 7)]
            assert status(await exchange(port, *split)) == 200


AMBIGUOUS = [
    (head(LENGTH, CHUNKED) + chunk(BODY) + b"0\r\n\r\n", b"must not be given together"),
    (
        head(CHUNKED, b"Content-Length: 99999999999\r\n") + b"0\r\n\r\n",
        b"not be given together",
    ),
    (
        head(CHUNKED, LENGTH, start=b"POST /v1/score HTTP/1.0\r\n") + chunk(BODY) + b"0\r\n\r\n",
        b"must not be given together",
    ),
    (head(CHUNKED, start=b"POST /v1/score HTTP/1.0\r\n") + b"0\r\n\r\n", b"HTTP/1.0 has no"),
    (head(LENGTH, LENGTH) + BODY, b"must be given once"),
    (head(b"content-length: 5, 5\r\n") + BODY, b"must be given once"),
    (head(b"Content-Length: 5\r\n", b"content-length: 6\r\n") + BODY, b"must be given once"),
    (head(b"Content-Length: +5\r\n") + BODY, b""),
    (head(LENGTH).replace(b"\r\n", b"\n") + BODY, b"CR LF"),
    (head(b"X-A: b\nX-C: d\r\n", LENGTH) + BODY, b"CR LF"),
    (head(b"X-A: b\rX-C: d\r\n", LENGTH) + BODY, b"CR LF"),
    (head(b"X-A: b\r\n folded\r\n", LENGTH) + BODY, b"folded"),
    (head(b"X-A : b\r\n", LENGTH) + BODY, b""),
    (head(b"X-A: b\0c\r\n", LENGTH) + BODY, b""),
    (head(LENGTH, start=b"POST /v1/score HTTP/9.9\r\n") + BODY, b"HTTP/1.1"),
    (head(LENGTH, start=b"POST /v1/score HTTP/2.0\r\n") + BODY, b"HTTP/1.1"),
    (head(LENGTH, start=b"POST  /v1/score HTTP/1.1\r\n") + BODY, b""),
    (head(b"Host: other\r\n", LENGTH) + BODY, b""),
    (head(b"Transfer-Encoding: gzip, chunked\r\n") + b"0\r\n\r\n", b""),
    (head(LENGTH, start=b"POST http://u@h/v1/score HTTP/1.1\r\n") + BODY, b"no user"),
    (head(LENGTH, start=b"POST http:///v1/score HTTP/1.1\r\n") + BODY, b"with a host"),
    (head(b"X-Long: " + b"x" * 100_000 + b"\r\n", LENGTH) + BODY, b"more than 16384 bytes"),
    (head(*[b"X-Many: x\r\n"] * 5000, LENGTH) + BODY, b"more than 16384 bytes"),
    (head(CHUNKED) + chunk(BODY) + b"0\r\n\n", b"end with an empty line"),
    (head(CHUNKED) + chunk(BODY) + b"0\r\nX-Trailer: x\r\n\r\n", b"without trailers"),
    (head(CHUNKED) + chunk(BODY) + b"0\r\nX-Trailer: x\n\n", b"without trailers"),
    (head(CHUNKED) + b"2\r\n{}xx0\r\n\r\n", b""),
    (head(CHUNKED) + b"-2\r\n{}\r\n0\r\n\r\n", b""),
]


async def test_what_a_proxy_may_read_otherwise_is_400_and_the_end_of_the_connection() -> None:
    engine = FakeEngine()
    async with serving(engine) as port:
        for request, words in AMBIGUOUS:
            answer = await exchange(port, request, head(LENGTH, CLOSE) + BODY)
            assert status(answer) == 400, request
            assert answer.count(b"HTTP/1.1 ") == 1, "what follows is not taken for a request"
            assert b"connection: close" in answer.lower()
            assert words in answer
    assert not engine.batches


async def test_a_second_request_is_read_as_strictly_as_the_first() -> None:
    async with serving() as port:
        good = head(LENGTH) + BODY
        answer = await exchange(port, good + good + head(LENGTH, CHUNKED) + b"0\r\n\r\n")
    assert [
        status(answer[at:]) for at in range(len(answer)) if answer[at:].startswith(b"HTTP/1.1")
    ] == [200, 200, 400]


async def test_the_whole_address_is_answered_and_its_host_is_the_one_that_counts() -> None:
    async with serving(trusted_hosts="rewards.example.com") as port:
        for target, expected in (
            (b"http://rewards.example.com/v1/score", 200),
            (b"HTTP://rewards.example.com:80/v1/score?a=b", 200),
            (b"http://h/v1/score", 400),
            (b"http://rewards.example.com", 404),
        ):
            start = b"POST %s HTTP/1.1\r\n" % target
            answer = await exchange(port, head(LENGTH, CLOSE, start=start) + BODY)
            assert status(answer) == expected, target


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
async def test_a_client_that_stops_sending_gets_its_answers(version: bytes) -> None:
    request = head(LENGTH, start=b"POST /v1/score HTTP/%s\r\n" % version) + BODY
    times = 2 if version == b"1.1" else 1
    async with serving() as port:
        answer = await exchange(port, request * times, ends=True)
    assert answer.count(b" 200 OK") == times


async def test_a_client_that_stops_sending_within_its_request_gets_none() -> None:
    engine = FakeEngine()
    async with serving(engine) as port:
        assert await exchange(port, head(LENGTH) + BODY[:-1], ends=True) == b""
    assert not engine.batches


async def server_load(port: int) -> bytes:
    answer = await exchange(port, b"GET /load HTTP/1.1\r\nHost: h\r\n" + CLOSE + b"\r\n")
    return answer.partition(b"\r\n\r\n")[2]


async def test_the_work_of_a_client_that_closes_is_still_skipped() -> None:
    engine = GatedEngine()
    async with serving(engine) as port:
        writers = []
        for text in (b'"a"', b'"b"'):
            writers.append((await asyncio.open_connection("127.0.0.1", port))[1])
            writers[-1].write(head(LENGTH) + BODY.replace(b'"a"', text))
            if text == b'"a"':
                await engine.begins()
        try:
            async with asyncio.timeout(10):
                while await server_load(port) != b'{"server_load":2}':
                    pass
                writers[1].close()
                while await server_load(port) != b'{"server_load":1}':
                    pass
        finally:
            engine.go_on.release(10)
            writers[0].close()


async def test_a_body_bit_by_bit_is_refused_before_it_costs_seconds() -> None:
    async with serving() as port:
        bits = b"1\r\n \r\n" * 200_000
        started = time.monotonic()
        answer = await exchange(port, head(CHUNKED), bits)
    assert status(answer) in (0, 400), "the answer may be lost while the client still sends"
    assert time.monotonic() - started < 10


async def test_a_stranger_s_chunks_are_not_read(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"team sha256:{digest_of('key').hex()}\n")
    async with serving(api_keys_file=keys) as port:
        answer = await exchange(port, head(CHUNKED) + b"1\r\n \r\n")
    assert status(answer) == 401
    assert b"connection: close" in answer.lower()


@pytest.mark.parametrize("length", [b"10", b"999999999"])
async def test_nobody_who_may_not_come_in_is_invited_to_send_a_body(
    tmp_path: Path, length: bytes
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"team sha256:{digest_of('key').hex()}\n")
    expecting = b"Expect: 100-continue\r\n"
    async with serving(api_keys_file=keys) as port:
        answer = await exchange(port, head(expecting, b"Content-Length: %s\r\n" % length))
        chunked = await exchange(port, head(expecting, CHUNKED))
    assert status(answer) == status(chunked) == 401
    async with serving(max_body_bytes=5) as port:
        answer = await exchange(port, head(expecting, b"Content-Length: %s\r\n" % length))
    assert status(answer) == 413


async def test_a_client_that_may_come_in_is_invited() -> None:
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head(LENGTH, CLOSE, b"Expect: 100-continue\r\n"))
        assert b"100 Continue" in await reader.readuntil(b"\r\n\r\n")
        writer.write(BODY)
        assert status(await read_to_end(reader)) == 200
        writer.close()

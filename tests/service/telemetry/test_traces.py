"""Requests as spans, read by a collector that listens on the loopback interface."""

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from service.logs import JsonLines
from tests.service.fakes import running
from tests.service.telemetry.collector import Collector, attributes, collecting
from tests.service.test_process import PATIENCE, ROOT, gated, score

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
_BY_NAME = {"encode", "queue", "infer"}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


async def traced(collector: Collector, traceparent: str, prompt: str = "prompt") -> None:
    """One scoring request, and all spans sent."""
    body = {"inputs": [{"prompt": prompt, "candidates": ["a", "long one"]}]}
    headers = {"traceparent": traceparent, "tracestate": "vendor=secret", "X-Request-Id": "secret"}
    async with running(otlp_endpoint=collector.url) as app:
        answer = await app.client.post("/v1/score", json=body, headers=headers)
    assert answer.status_code == 200


async def test_a_request_is_a_span_of_its_senders_trace_and_its_steps_are_within() -> None:
    with collecting() as collector:
        await traced(collector, f"00-{TRACE}-{PARENT}-01", prompt="my secret")
    assert set(collector.paths) == {"/v1/traces"}
    spans = {span.name: span for span in collector.spans}
    request = spans.pop("POST /v1/score")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
    assert {span.trace_id.hex() for span in spans.values()} == {TRACE}
    assert {span.parent_span_id for span in spans.values()} == {request.span_id}
    assert spans.keys() == _BY_NAME
    encode, queue, infer = spans["encode"], spans["queue"], spans["infer"]
    times = [request.start_time_unix_nano, encode.start_time_unix_nano]
    times += [encode.end_time_unix_nano, queue.start_time_unix_nano]
    times += [queue.end_time_unix_nano, infer.start_time_unix_nano]
    times += [infer.end_time_unix_nano, request.end_time_unix_nano]
    assert times == sorted(times)
    assert not any(b"secret" in body for body in collector.bodies)


async def test_attributes_are_names_numbers_and_codes_of_ours() -> None:
    with collecting() as collector:
        await traced(collector, "")
    (request,) = (span for span in collector.spans if span.name == "POST /v1/score")
    size = attributes(request).pop("http.request.body.size")
    assert attributes(request) == {
        "http.request.method": "POST",
        "http.route": "/v1/score",
        "http.response.status_code": 200,
        "http.request.body.size": size,
        "reward.dialect": "native",
        "reward.outcome": "ok",
        "reward.priority": "interactive",
        "reward.items": 2,
        "reward.tokens": 21,
        "reward.computed_tokens": 15,
    }
    (resource,) = collector.requests[0].resource_spans
    named = {entry.key: entry.value.string_value for entry in resource.resource.attributes}
    assert named["service.name"] == "codepmp"


@pytest.mark.parametrize("odd", ["", "secret", f"00-{'0' * 32}-{PARENT}-01"])
async def test_without_a_valid_traceparent_a_trace_begins(odd: str) -> None:
    with collecting() as collector:
        await traced(collector, odd)
    (request,) = (span for span in collector.spans if span.name == "POST /v1/score")
    assert request.parent_span_id == b""
    assert request.trace_id.hex() not in (TRACE, "0" * 32)
    assert not any(b"secret" in body for body in collector.bodies)


async def test_what_its_sender_does_not_record_is_not_sent() -> None:
    with collecting() as collector:
        await traced(collector, f"00-{TRACE}-{PARENT}-00")
    assert collector.spans == []


async def test_refusals_are_traced_and_probes_are_not() -> None:
    with collecting() as collector:
        async with running(otlp_endpoint=collector.url) as app:
            for path in ("/healthz", "/readyz", "/metrics"):
                await app.client.get(path)
            await app.client.get("/secret")
            app.service.begin_drain()
            await app.score("prompt", "a")
    stray, refused = collector.spans
    assert (stray.name, attributes(stray)["reward.outcome"]) == ("GET unmatched", "not_found")
    assert attributes(refused)["reward.outcome"] == "draining"
    error = 2
    assert (stray.status.code, refused.status.code) == (0, error)


async def test_the_log_line_names_the_trace(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with collecting() as collector:
        await traced(collector, f"00-{TRACE}-{PARENT}-01")
    (line,) = [JsonLines().format(r) for r in caplog.records if r.name == "service.request"]
    assert json.loads(line)["trace_id"] == TRACE


async def test_a_collector_that_is_not_there_costs_no_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.telemetry.traces._FLUSH_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, never answers
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with running(otlp_endpoint=url) as app:
            answers = [await app.score("prompt", "a" * (n % 9 + 1)) for n in range(600)]
    assert {answer.status_code for answer in answers} == {200}  # 2400 spans, 2048 are kept
    assert not await asyncio.to_thread(senders_left)


def senders_left() -> list[threading.Thread]:
    """Threads of the SDK that do not end though nobody waits for them any more."""
    senders = [thread for thread in threading.enumerate() if thread.name.startswith("OtelBatch")]
    until = time.monotonic() + 10  # the SDK itself would go on for half a minute
    for thread in senders:
        thread.join(max(0.0, until - time.monotonic()))
    return [thread for thread in senders if thread.is_alive()]


async def test_what_is_left_is_sent_when_the_process_ends(tmp_path: Path) -> None:
    with collecting() as collector:
        async with gated(tmp_path, "--otlp-endpoint", collector.url) as service:
            await service.ready()
            service.go_on()
            async with service.client() as client:
                assert (await score(client, "a")).status_code == 200
            service.terminate()
            assert await service.exit_code() == 0
        assert {span.name for span in collector.spans} == {"POST /v1/score", *_BY_NAME}


async def test_fastapis_own_telemetry_is_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where its variables ask for it: it would send paths and messages of exceptions."""
    with collecting() as collector:
        monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        async with gated(tmp_path) as service:
            await service.ready()
            async with service.client() as client:
                await client.get("/secret")
            service.terminate()
            assert await service.exit_code() == 0
        assert collector.bodies == []


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        check=False,
        cwd=ROOT,
        text=True,
        timeout=PATIENCE,
    )


def test_without_the_setting_nothing_is_imported() -> None:
    """But the API of OpenTelemetry, which FastAPI imports itself since 0.165."""
    script = (
        "import sys; from service.app import create_app; from service.settings import Settings\n"
        "create_app(Settings())\n"
        "sent = ('opentelemetry.sdk', 'opentelemetry.exporter', 'service.telemetry.traces')\n"
        "print([name for name in sys.modules if name.startswith(sent)])"
    )
    assert run(script).stdout == "[]\n"


def test_without_the_packages_the_setting_is_refused_with_a_message() -> None:
    ended = run(
        "import runpy, sys\n"
        "sys.modules['opentelemetry.exporter'] = None  # as if it were not installed\n"
        "sys.argv = ['service', '--port', '0', '--otlp-endpoint', 'http://127.0.0.1:1']\n"
        "runpy.run_module('service', run_name='__main__')"
    )
    assert ended.returncode == 1
    assert "cannot send traces (--otlp-endpoint): opentelemetry.exporter" in ended.stderr
    assert "scripts/install otel" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_endpoint_that_is_no_url_is_refused() -> None:
    ended = run(
        "import runpy, sys\n"
        "sys.argv = ['service', '--otlp-endpoint', 'collector']\n"
        "runpy.run_module('service', run_name='__main__')"
    )
    assert ended.returncode == 2
    assert "--otlp-endpoint (or REWARD_OTLP_ENDPOINT)" in ended.stderr

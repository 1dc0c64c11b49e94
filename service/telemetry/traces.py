"""Finished requests as OpenTelemetry spans, sent over OTLP/HTTP in batches by the SDK's thread.

This is the only importer of opentelemetry, and is itself imported only where traces are asked for.
The spans of a request are made from its record when it is over, so it pays for nothing before.
"""

import asyncio
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode, format_trace_id, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from service.telemetry.request_record import RequestRecord

# Seconds to send what is left when the server ends; a collector that does not answer loses it.
_FLUSH_SECONDS = 3.0


class Traces:
    """Sends spans to the collector at `endpoint`, an OTLP/HTTP base URL."""

    def __init__(self, endpoint: str) -> None:
        resource = Resource.create({SERVICE_NAME: "codepmp"}).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._exporter: SpanExporter = OTLPSpanExporter(endpoint.rstrip("/") + "/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("codepmp.service")
        self._propagator = TraceContextTextMapPropagator()

    def add(self, record: RequestRecord, traceparent: str | None) -> str:
        """Keep the spans of a request that ended just now, in the client's trace if it has one.

        Returns:
            The trace's id, also where the client said that it is not recorded.
        """
        # `tracestate` is left out, because it is free text.
        carrier = {"traceparent": traceparent} if traceparent else {}
        # Spans are in wall-clock time: `zero` is the moment when the monotonic clock was 0.
        zero = time.time_ns() - _nanoseconds(time.monotonic())
        begin = zero + _nanoseconds(record.started)
        span = self._tracer.start_span(
            f"{record.known_method} {record.route}",
            context=self._propagator.extract(carrier, Context()),
            kind=SpanKind.SERVER,
            attributes=dict(_attributes(record)),
            start_time=begin,
        )
        # OpenTelemetry's rule for servers: a 4xx is the client's error, and the span is unset.
        if record.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            span.set_status(Status(StatusCode.ERROR))
        if record.result:
            timings = record.result.timings
            phases = {"encode": timings.encode, "queue": timings.queue, "infer": timings.infer}
            parent = set_span_in_context(span)
            start = zero + _nanoseconds(timings.started + timings.admit)
            for name, seconds in phases.items():
                end = start + _nanoseconds(seconds)
                self._tracer.start_span(name, context=parent, start_time=start).end(end)
                start = end
        span.end(begin + _nanoseconds(record.seconds))
        return format_trace_id(span.get_span_context().trace_id)

    async def close(self) -> None:
        """Send the spans that are left, and drop what is not sent after a few seconds."""
        flush = threading.Thread(target=self._provider.shutdown, daemon=True)
        flush.start()
        await asyncio.to_thread(flush.join, _FLUSH_SECONDS)
        if flush.is_alive():
            # Otherwise its thread would try again for as long as it can.
            self._exporter.shutdown()


def _attributes(record: RequestRecord) -> Iterator[tuple[str, AttributeValue]]:
    """Yield names, numbers and codes of our own: nothing that a user chose."""
    yield "http.request.method", record.known_method
    yield "http.route", record.route
    yield "http.response.status_code", record.status
    yield "http.request.body.size", record.body_bytes
    yield "reward.dialect", record.dialect
    yield "reward.outcome", record.outcome
    if record.asked:
        yield "reward.priority", record.asked.priority
        yield "reward.items", record.asked.item_count
    if record.result:
        yield "reward.tokens", record.result.tokens
        yield "reward.computed_tokens", record.result.computed_tokens


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)

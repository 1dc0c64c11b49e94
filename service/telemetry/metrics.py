"""Every metric of one app, in seconds and tokens.

Each app has a registry of its own, so that two apps in one process do not share metrics.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

from service.auth.keyring import Keyring
from service.models.catalogue import ModelCatalogue
from service.models.shadow import Differences
from service.scheduling.admission import Admission
from service.scheduling.batcher import BatchReport
from service.scheduling.queue import PRIORITIES
from service.telemetry.model_collector import ModelCollector
from service.telemetry.request_record import RequestRecord

# Bounds of histograms. Seconds reach from a cached score to the default timeout of clients.
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
# Differences of raw logits, around the two bounds between which both versions agree to rounding.
_DIFFERENCES = (-10, -3, -1, -0.3, -0.1, -0.01, -1e-4, 1e-4, 0.01, 0.1, 0.3, 1, 3, 10)
# Sequences or tokens, from one to far beyond the largest batch.
_SIZES = tuple(float(2**power) for power in range(0, 18))
# Shares of the token budget. A batch may reach 2 to keep candidates of one prompt together.
_FILLS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1, 2)

State = Literal["loading", "ready", "draining", "failed"]
_STATES: tuple[State, ...] = get_args(State)


class Metrics:
    """Counts requests and batches; facts about the loaded models come from `ModelCollector`."""

    def __init__(self, catalogue: ModelCatalogue) -> None:
        self._catalogue = catalogue
        self._models = ModelCollector(catalogue)
        self._shadow_labels: set[tuple[str, str]] = set()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(self._models)
        self._declare_counters()
        self._declare_histograms()
        self._declare_gauges()

    def _declare_counters(self) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"reward_{name}", text, labels, registry=self.registry)

        self._requests = counter("requests", "Requests answered.", "dialect", "route", "outcome")
        self._errors = counter("errors", "Errors of whole requests and of single items.", "code")
        self._items = counter("items", "Candidates answered.", "outcome")
        self._non_finite = counter("non_finite_scores", "Scores that were NaN or infinite.")
        self._golden = counter("golden_mismatches", "Models that did not give their golden scores.")
        self._tokens = counter("tokens", "Tokens of all candidates' conversations.")
        self._computed = counter("computed_tokens", "Tokens that went through the engine.")
        self._cache_hits = counter("cache_hits", "Candidates whose score was known before.")
        self._cache_misses = counter("cache_misses", "Candidates that had to be computed.")
        self._busy = counter("engine_busy_seconds", "Seconds that the engine had work.")
        self._splits = counter("oom_splits", "Batches split because memory ran out.")
        self._key_requests = counter("key_requests", "Requests answered, by name of key.", "key")
        self._key_tokens = counter("key_tokens", "Tokens computed, by name of key.", "key")
        self._saved = counter("saved_tokens", "Tokens that sharing prefixes did not compute.")
        self._truncated = counter("truncated_items", "Candidates whose prompt was cut to fit.")
        self._dropped = counter("dropped_tokens", "Tokens cut out of prompts.")

    def _declare_histograms(self) -> None:
        def seconds(name: str, text: str, *labels: str) -> Histogram:
            name = f"reward_{name}_seconds"
            return Histogram(name, text, labels, registry=self.registry, buckets=_SECONDS)

        def size(name: str, text: str) -> Histogram:
            return Histogram(f"reward_{name}", text, registry=self.registry, buckets=_SIZES)

        self._request_seconds = seconds("request", "From a request's head to its answer.", "route")
        self._encode_seconds = seconds("encode", "Turning one request's texts into tokens.")
        self._queue_seconds = seconds("queue", "From a request's last token to its first batch.")
        self._inference_seconds = seconds("inference", "From a request's first batch to its last.")
        self._shadow_difference = Histogram(
            "reward_shadow_difference",
            "Raw score of the shadow version minus the one that was answered.",
            ("answered_by", "shadow"),
            registry=self.registry,
            buckets=_DIFFERENCES,
        )
        self._batch_seconds = seconds("batch", "One batch on the engine.")
        self._batch_sequences = size("batch_sequences", "Sequences of one batch.")
        self._batch_tokens = size("batch_tokens", "Tokens computed in one batch.")
        self._batch_fill = Histogram(
            "reward_batch_fill_ratio",
            "Tokens computed in one batch, over those it may hold.",
            registry=self.registry,
            buckets=_FILLS,
        )

    def _declare_gauges(self) -> None:
        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"reward_{name}", text, labels, registry=self.registry)

        self._queue_items = gauge("queue_items", "Candidates admitted, not scored.", "priority")
        self._queue_tokens = gauge("queue_tokens", "Tokens admitted, not computed.", "priority")
        self._work = gauge("queue_work_seconds", "How long what was admitted takes to compute.")
        self._ready = gauge("ready", "1 when ready for requests, else 0.")
        self._state = gauge("engine_state", "1 for the state it is in, else 0.", "state")

    def watch(self, admission: Admission, state: Callable[[], State]) -> None:
        """Read these gauges from the service whenever they are scraped."""

        def is_state(one: State) -> bool:
            return state() == one

        self._ready.set_function(lambda: state() == "ready")
        for one in _STATES:
            self._state.labels(one).set_function(partial(is_state, one))
        self._work.set_function(lambda: admission.seconds_of_work)
        for priority in PRIORITIES:
            items, tokens = self._queue_items.labels(priority), self._queue_tokens.labels(priority)
            items.set_function(partial(admission.items, priority))
            tokens.set_function(partial(admission.tokens, priority))

    def watch_keyring(self, keyring: Keyring) -> None:
        """Add a gauge of whether the key file is unusable."""
        # Declared here, because a server without a key file should not report that it is fresh.
        stale = Gauge(
            "reward_api_keys_stale",
            "1 when the file of API keys was changed to something that cannot be used, else 0.",
            registry=self.registry,
        )
        stale.set_function(lambda: keyring.stale)

    def note_golden_mismatch(self) -> None:
        self._golden.inc()

    def observe_shadow(self, differences: Differences) -> None:
        labels = (differences.answered_by, differences.shadow)
        self._shadow_labels.add(labels)
        histogram = self._shadow_difference.labels(*labels)
        for value in differences.values:
            histogram.observe(value)

    def observe_batch(self, report: BatchReport, budget: int) -> None:
        self._batch_seconds.observe(report.seconds)
        # Batches that run side by side share the time, so that the sum never exceeds the clock's.
        self._busy.inc(report.busy_seconds / report.concurrent_batches)
        self._batch_sequences.observe(report.sequences)
        self._batch_tokens.observe(report.tokens)
        self._batch_fill.observe(report.tokens / budget)
        self._splits.inc(report.splits)

    def observe(self, record: RequestRecord) -> None:
        """Count one answered request."""
        # Labels are names of ours, never a path or a text of a user: every new value of a label
        # is a new time series, which Prometheus keeps.
        self._requests.labels(record.dialect, record.route, record.outcome).inc()
        self._request_seconds.labels(record.route).observe(record.seconds)
        if record.error:
            self._errors.labels(record.error).inc()
        result = record.result
        if record.key:
            self._key_requests.labels(record.key).inc()
            self._key_tokens.labels(record.key).inc(result.computed_tokens if result else 0)
        for outcome, count in record.item_outcomes().items():
            self._items.labels(outcome).inc(count)
        if result is None:
            return
        self._encode_seconds.observe(result.timings.encode)
        self._queue_seconds.observe(result.timings.queue)
        self._inference_seconds.observe(result.timings.infer)
        self._tokens.inc(result.tokens)
        self._computed.inc(result.computed_tokens)
        self._saved.inc(result.saved_tokens)
        self._cache_hits.inc(result.cached)
        self._cache_misses.inc(result.computed)
        dropped = [item.dropped_tokens for item in result.items() if item.dropped_tokens]
        self._truncated.inc(len(dropped))
        self._dropped.inc(sum(dropped))
        self._models.observe(result)
        for code, count in result.errors().items():
            self._errors.labels(code).inc(count)
            if code == "non_finite":
                self._non_finite.inc(count)

    def render(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        # Every version that ever was a shadow would otherwise keep its series.
        for labels in tuple(self._shadow_labels):
            if any(self._catalogue.get(key) is None for key in labels):
                self._shadow_labels.discard(labels)
                self._shadow_difference.remove(*labels)
        return generate_latest(self.registry)

"""Metrics of every loaded model, read from the catalogue when Prometheus scrapes.

Nothing is pushed when a model is loaded or unloaded, so an unloaded version leaves no series.
"""

from collections.abc import Iterator
from weakref import WeakKeyDictionary

import numpy as np
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from service.models.catalogue import ModelCatalogue
from service.models.loaded_model import LoadedModel
from service.scoring.types import ScoringResult
from service.telemetry.score_statistics import ScoreStatistics

_LABELS = ("model", "version")


class ModelCollector(Collector):
    """Collects facts, limits, speed and score statistics of each version in the catalogue."""

    def __init__(self, catalogue: ModelCatalogue) -> None:
        self._catalogue = catalogue
        # Weak keys: the statistics of an unloaded version go with it, and one that is loaded again
        # starts anew.
        self._statistics: WeakKeyDictionary[LoadedModel, ScoreStatistics] = WeakKeyDictionary()

    def observe(self, result: ScoringResult) -> None:
        """Take in the scores of a request. Weighted sums of several models belong to none.

        A weighted sum of criteria is as its weights are, so the scores by each of them count.
        """
        if loaded := self._catalogue.get(f"{result.model}@{result.version}"):
            statistics = self._statistics_of(loaded)
            scores = (score for item in result.items() for score in item.parts.values() or (item,))
            statistics.add((one.raw, one.tokens) for one in scores if one.raw is not None)

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "reward_cache_bytes",
            "Occupied by scores of earlier requests.",
            value=sum(loaded.cache_bytes for loaded in self._catalogue),
        )
        release = _gauge("release_info", "What is served.", "dtype")
        shares = _gauge(
            "shares_prefixes",
            "1 when a shared prefix is computed once, 0 when every text is computed whole. reason: "
            "why it fell back to that; empty when it did not (encoders have nothing to share).",
            "reason",
        )
        units = _gauge(
            "matrix_units",
            "1 when float32 products run as three bfloat16 products on the CPU's matrix unit, AMX, "
            "and else 0. reason: why they do not; empty when they do.",
            "reason",
        )
        processes = _gauge("engine_processes", "Processes that each compute batches of the model.")
        budget = _gauge("batch_token_budget", "New tokens that one batch may hold.")
        speed = _gauge(
            "engine_tokens_per_second",
            "Tokens that admission held, worked off in a second, of late.",
        )
        mean = _gauge("score_mean", "Mean raw score of late.")
        correlation = _gauge(
            "score_length_correlation", "Pearson correlation of raw score and tokens, of late."
        )
        drift = _gauge(
            "score_drift_psi",
            "Population stability index of the scores of late against the release's calibration. "
            "reference: whether that holds its own deciles or those of a normal distribution.",
            "reference",
        )
        # It has no sum, which could fall: raw scores may be negative.
        scores = HistogramMetricFamily("reward_score", "Raw scores answered.", labels=_LABELS)
        for loaded in self._catalogue:
            facts, calibration = loaded.model.engine.facts, loaded.model.release.calibration
            key = (loaded.model.name, loaded.model.release.version)
            release.add_metric([*key, facts.dtype], 1)
            shares.add_metric([*key, facts.fallback_reason or ""], facts.shares_prefixes)
            units.add_metric([*key, facts.plain_products_reason or ""], facts.matrix_units)
            processes.add_metric(key, facts.processes)
            budget.add_metric(key, loaded.batch_tokens)
            speed.add_metric(key, loaded.throughput.speed)
            statistics = self._statistics_of(loaded)
            mean.add_metric(key, statistics.mean)
            correlation.add_metric(key, statistics.length_correlation)
            if calibration:
                reference = "deciles" if calibration.deciles else "normal"
                drift.add_metric([*key, reference], statistics.drift)
            # Prometheus wants cumulative counts, and bounds in Go's spelling of numbers.
            bounds = [*map(floatToGoString, statistics.bounds), "+Inf"]
            counts = [float(count) for count in np.cumsum(statistics.counts)]
            scores.add_metric(key, list(zip(bounds, counts, strict=True)), None)
            # The library adds the count only beside a sum, so it is added here.
            labels = dict(zip(_LABELS, key, strict=True))
            scores.add_sample("reward_score_count", labels, counts[-1])
        yield from (release, shares, units, processes, budget, speed)
        yield from (mean, correlation, drift, scores)

    def _statistics_of(self, loaded: LoadedModel) -> ScoreStatistics:
        if loaded not in self._statistics:
            self._statistics[loaded] = ScoreStatistics(loaded.model.release.calibration)
        return self._statistics[loaded]


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"reward_{name}", text, labels=[*_LABELS, *labels])

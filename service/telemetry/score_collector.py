"""Statistics of scores as Prometheus sees them: read when they are asked for."""

from collections.abc import Iterator

import numpy as np
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from reward_model.release.calibration import Calibration
from service.scoring.types import Scored
from service.telemetry.score_statistics import ScoreStatistics

_LABELS = ("model", "version")
_Key = tuple[str, str]


class ScoreCollector(Collector):
    """Of every version that is served; what was asked of several together is none of theirs."""

    def __init__(self) -> None:
        self._statistics: dict[_Key, ScoreStatistics] = {}
        self._references: dict[_Key, str | None] = {}

    def begin(self, model: str, version: str, calibration: Calibration | None) -> None:
        self._statistics[model, version] = ScoreStatistics(calibration)
        self._references[model, version] = _reference(calibration)

    def end(self, model: str, version: str) -> None:
        del self._statistics[model, version], self._references[model, version]

    def observe(self, scored: Scored) -> None:
        statistics = self._statistics.get((scored.model, scored.version))
        if statistics:
            statistics.add((one.raw, one.tokens) for one in scored.items() if one.raw is not None)

    def collect(self) -> Iterator[Metric]:
        yield self._histogram()
        mean = _gauge("mean", "Mean raw score of late.")
        correlation = _gauge(
            "length_correlation", "Pearson correlation of raw score and tokens, of late."
        )
        for key, statistics in self._statistics.items():
            mean.add_metric(key, statistics.mean)
            correlation.add_metric(key, statistics.length_correlation)
        yield from (mean, correlation, self._drift())

    def _histogram(self) -> Metric:
        """Without a sum, which could fall: raw scores may be negative."""
        family = HistogramMetricFamily("reward_score", "Raw scores answered.", labels=_LABELS)
        for key, statistics in self._statistics.items():
            bounds = [*map(floatToGoString, statistics.bounds), "+Inf"]
            counts = [float(count) for count in np.cumsum(statistics.counts)]
            family.add_metric(key, list(zip(bounds, counts, strict=True)), None)
            labels = dict(zip(_LABELS, key, strict=True))
            family.add_sample("reward_score_count", labels, counts[-1])
        return family

    def _drift(self) -> Metric:
        family = _gauge(
            "drift_psi",
            "Population stability index of the scores of late against the release's calibration. "
            "reference: whether that holds its own deciles or those of a normal distribution.",
            "reference",
        )
        for key, reference in self._references.items():
            if reference:
                family.add_metric([*key, reference], self._statistics[key].drift)
        return family


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"reward_score_{name}", text, labels=[*_LABELS, *labels])


def _reference(calibration: Calibration | None) -> str | None:
    if calibration is None:
        return None
    return "deciles" if calibration.deciles else "normal"

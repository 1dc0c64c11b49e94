"""Statistics of scores as Prometheus sees them: read when they are asked for."""

from collections.abc import Iterator

import numpy as np
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from reward_model.calibration import Calibration
from service.score_statistics import ScoreStatistics


class ScoreCollector(Collector):
    """Of one release.

    Args:
        version: the release's, a label of every metric.
    """

    def __init__(self, version: str, calibration: Calibration | None) -> None:
        self.statistics = ScoreStatistics(calibration)
        self._version = version
        self._reference = _reference(calibration)

    def collect(self) -> Iterator[Metric]:
        yield self._histogram()
        yield self._gauge("mean", "Mean raw score of late.", self.statistics.mean)
        yield self._gauge(
            "length_correlation",
            "Pearson correlation of raw score and tokens, of late.",
            self.statistics.length_correlation,
        )
        if self._reference:
            yield self._drift(self._reference)

    def _histogram(self) -> Metric:
        """Without a sum, which could fall: raw scores may be negative."""
        bounds = [*map(floatToGoString, self.statistics.bounds), "+Inf"]
        counts = [float(count) for count in np.cumsum(self.statistics.counts)]
        family = HistogramMetricFamily("reward_score", "Raw scores answered.", labels=["version"])
        family.add_metric([self._version], list(zip(bounds, counts, strict=True)), None)
        family.add_sample("reward_score_count", {"version": self._version}, counts[-1])
        return family

    def _gauge(self, name: str, text: str, value: float) -> Metric:
        family = GaugeMetricFamily(f"reward_score_{name}", text, labels=["version"])
        family.add_metric([self._version], value)
        return family

    def _drift(self, reference: str) -> Metric:
        family = GaugeMetricFamily(
            "reward_score_drift_psi",
            "Population stability index of the scores of late against the release's calibration. "
            "reference: whether that holds its own deciles or those of a normal distribution.",
            labels=["version", "reference"],
        )
        family.add_metric([self._version, reference], self.statistics.drift)
        return family


def _reference(calibration: Calibration | None) -> str | None:
    if calibration is None:
        return None
    return "deciles" if calibration.deciles else "normal"

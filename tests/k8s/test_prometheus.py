"""A real Prometheus scrapes a real service, and answers all that dashboard and alerts ask."""

from collections.abc import Iterator

import httpx
import pytest

from benchmarks.harness.processes import running
from benchmarks.harness.servers import ours
from tests.k8s.rendering import items_at, tool
from tests.k8s.scraping import absent_metrics, empty_panels, scraping
from tests.k8s.test_alerts import RULES


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """It scrapes the default release's service."""
    tool("prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    with running(ours(None, device="cpu")) as server, scraping(server.url, folder) as client:
        yield client


def test_every_query_of_the_dashboard_is_answered(prometheus: httpx.Client) -> None:
    assert empty_panels(prometheus) == []


def test_every_rule_asks_for_something_that_is_scraped(prometheus: httpx.Client) -> None:
    assert absent_metrics(prometheus) == {}


def test_prometheus_takes_all_rules_and_a_healthy_service_fires_none(
    prometheus: httpx.Client,
) -> None:
    loaded = prometheus.get("/api/v1/rules").json()["data"]["groups"]
    rules = [rule for group in loaded for rule in group["rules"]]
    written = [rule for group in items_at(RULES, "groups") for rule in items_at(group, "rules")]
    assert len(rules) == len(written)
    assert [rule["name"] for rule in rules if rule.get("lastError")] == []
    assert [rule["name"] for rule in rules if rule.get("state") == "firing"] == []

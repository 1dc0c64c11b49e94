"""A real Prometheus scrapes a real service, and answers all that dashboard and alerts ask."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import yaml

from benchmarks.processes import free_port, running
from benchmarks.servers import ours
from scripts.graphs import expressions
from tests.k8s.exported import without_text
from tests.k8s.rendering import text_at, tool
from tests.k8s.test_alerts import EVERY_RULE, RULES

PATIENCE = 60.0
BODY = {"inputs": [{"prompt": "add two numbers", "candidates": ["def add(a, b): ...", ""]}]}
ABSENT = {"reward_api_keys_stale"}
"""Without a file of keys."""


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One that has scraped the default release's service, after it scored something."""
    program, folder = tool("prometheus"), tmp_path_factory.mktemp("prometheus")
    with running(ours(None, device="cpu")) as server:
        httpx.post(f"{server.url}/v1/score", json=BODY, timeout=PATIENCE).raise_for_status()
        address = f"127.0.0.1:{free_port()}"
        config = write_config(folder, server.url.removeprefix("http://"))
        command = [program, f"--config.file={config}", f"--web.listen-address={address}"]
        storage = f"--storage.tsdb.path={folder / 'data'}"
        with (folder / "log").open("w") as log:
            process = subprocess.Popen([*command, storage], stdout=log, stderr=log)
        try:
            with httpx.Client(base_url=f"http://{address}", trust_env=False) as client:
                wait_until_scraped(client)
                yield client
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE)


def write_config(folder: Path, target: str) -> Path:
    (folder / "rules.yaml").write_text(yaml.safe_dump(RULES))
    labels = {"namespace": "reward-model", "pod": "a"}
    scrape = {"job_name": "service", "static_configs": [{"targets": [target], "labels": labels}]}
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [scrape],
    }
    file = folder / "prometheus.yaml"
    file.write_text(yaml.safe_dump(config))
    return file


def wait_until_scraped(client: httpx.Client) -> None:
    """Twice, so that there are rates."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        with suppress(httpx.TransportError):
            if client.get("/-/ready").is_success and ask(client, "count_over_time(up[1m]) > 1"):
                return
        time.sleep(0.05)
    raise AssertionError("Prometheus scraped nothing")


def ask(client: httpx.Client, query: str) -> list[object]:
    answer = client.get("/api/v1/query", params={"query": query}).json()
    assert answer["status"] == "success", (query, answer)
    found = answer["data"]["result"]
    assert isinstance(found, list)
    return found


def test_every_query_of_the_dashboard_is_answered(prometheus: httpx.Client) -> None:
    empty = [query for query in expressions() if not ask(prometheus, query)]
    assert empty == []


def test_every_rule_asks_for_something_that_is_scraped(prometheus: httpx.Client) -> None:
    for rule in EVERY_RULE:
        query = text_at(rule, "expr")
        ask(prometheus, query)
        names = set(re.findall(r"\b(?:reward|process)_\w+", without_text(query)))
        missing = [name for name in names - ABSENT if not ask(prometheus, name)]
        assert missing == [], query


def test_prometheus_takes_all_rules_and_a_healthy_service_fires_none(
    prometheus: httpx.Client,
) -> None:
    loaded = prometheus.get("/api/v1/rules").json()["data"]["groups"]
    rules = [rule for group in loaded for rule in group["rules"]]
    assert len(rules) == len(EVERY_RULE)
    assert [rule["name"] for rule in rules if rule.get("lastError")] == []
    assert [rule["name"] for rule in rules if rule.get("state") == "firing"] == []

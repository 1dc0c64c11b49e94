"""A real Prometheus that scrapes one service, and what dashboard and alerts ask of it."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import yaml

from benchmarks.harness.processes import free_port
from scripts.graphs import expressions
from tests.k8s.exported import without_text
from tests.k8s.rendering import text_at, tool
from tests.k8s.test_alerts import EVERY_RULE, RULES

PATIENCE = 60.0
ABSENT = {"reward_api_keys_stale"}
"""Without a file of keys."""
_BODY = {"inputs": [{"prompt": "add two numbers", "candidates": ["def add(a, b): ...", ""]}]}


@contextmanager
def scraping(url: str, folder: Path) -> Iterator[httpx.Client]:
    """A client of a Prometheus that has scraped the service there, after it scored something."""
    httpx.post(f"{url}/v1/score", json=_BODY, timeout=PATIENCE).raise_for_status()
    address = f"127.0.0.1:{free_port()}"
    config = _write_config(folder, url.removeprefix("http://"))
    command = [tool("prometheus"), f"--config.file={config}", f"--web.listen-address={address}"]
    with (folder / "log").open("w") as log:
        storage = f"--storage.tsdb.path={folder / 'data'}"
        process = subprocess.Popen([*command, storage], stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://{address}", trust_env=False) as client:
            _wait_until_scraped(client)
            yield client
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


def ask(client: httpx.Client, query: str) -> list[object]:
    answer = client.get("/api/v1/query", params={"query": query}).json()
    assert answer["status"] == "success", (query, answer)
    found = answer["data"]["result"]
    assert isinstance(found, list)
    return found


def empty_panels(client: httpx.Client) -> list[str]:
    """Queries of the dashboard that find nothing."""
    return [query for query in expressions() if not ask(client, query)]


def absent_metrics(client: httpx.Client) -> dict[str, list[str]]:
    """By rules' queries, all of which are asked: metrics that they name and nothing exports."""
    found: dict[str, list[str]] = {}
    for rule in EVERY_RULE:
        query = text_at(rule, "expr")
        ask(client, query)
        names = set(re.findall(r"\b(?:reward|process)_\w+", without_text(query))) - ABSENT
        if absent := [name for name in names if not ask(client, name)]:
            found[query] = absent
    return found


def _write_config(folder: Path, target: str) -> Path:
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


def _wait_until_scraped(client: httpx.Client) -> None:
    """Twice, so that there are rates."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        with suppress(httpx.TransportError):
            if client.get("/-/ready").is_success and ask(client, "count_over_time(up[1m]) > 1"):
                return
        time.sleep(0.05)
    raise AssertionError("Prometheus scraped nothing")

"""The manifests of the CPU overlay, played by podman; a real Prometheus scrapes the pod."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from benchmarks.harness.processes import free_port
from tests.docker.containers import BODY, SERVICE, await_ready, of_service, podman
from tests.k8s.rendering import Object, items_at, of_kind, one_of_kind, rendered, settings_of, tool
from tests.k8s.scraping import absent_metrics, empty_panels, scraping

pytestmark = of_service


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its URL. podman knows no Service, so the container's port is one of this host, too."""
    port, file = free_port(), tmp_path_factory.mktemp("pod") / "cpu.yaml"
    objects = of_kind(rendered("overlays/cpu"), "ConfigMap", "Deployment")
    _make_playable(one_of_kind(objects, "Deployment"), port)
    file.write_text(yaml.safe_dump_all(objects))
    podman("play", "kube", str(file))
    try:
        url = f"http://127.0.0.1:{port}"
        await_ready("reward-model-pod-0-server", url)
        yield url
    finally:
        podman("play", "kube", "--down", str(file))


def _make_playable(deployment: Object, port: int) -> None:
    """One replica of the image made here, at a port of this host."""
    spec = deployment["spec"]
    assert isinstance(spec, dict)
    spec["replicas"] = 1
    (container,) = items_at(spec, "template", "spec", "containers")
    container["image"] = SERVICE
    (listening,) = items_at(container, "ports")
    listening["hostPort"] = port


def test_the_overlay_scores_with_its_settings(pod: str) -> None:
    answer = httpx.post(f"{pod}/v1/score", json=BODY, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.json()["results"][0]["best"] == 0
    told = settings_of(rendered("overlays/cpu"))
    inside = podman("exec", "reward-model-pod-0-server", "env").splitlines()
    assert {f"{name}={value}" for name, value in told.items()} <= set(inside)


def test_prometheus_finds_all_that_dashboard_and_alerts_ask_for(pod: str, tmp_path: Path) -> None:
    tool("prometheus")
    with scraping(pod, tmp_path) as prometheus:
        assert empty_panels(prometheus) == []
        assert absent_metrics(prometheus) == {}

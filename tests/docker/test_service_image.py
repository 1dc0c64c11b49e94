"""The service's CPU image, run as a restricted pod would run it."""

import json
import threading
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.docker.containers import (
    BODY,
    SERVICE,
    Running,
    exit_code,
    inspect,
    of_service,
    podman,
    service,
)

pytestmark = of_service
MOST_BYTES = 1.6e9


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with service() as container:
        yield container


def test_nothing_of_the_build_stays_in_its_environment() -> None:
    config = inspect(SERVICE)["Config"]
    assert isinstance(config, dict)
    names = {variable.partition("=")[0] for variable in config["Env"]}
    assert not {name for name in names if name.startswith("PIP_") or "SSL" in name}


def test_it_is_small_enough(record_property: Callable[[str, object], None]) -> None:
    size = inspect(SERVICE)["Size"]
    assert isinstance(size, int)
    record_property("gigabytes", size / 1e9)
    assert size <= MOST_BYTES


def test_its_labels_and_health_check_say_what_it_is() -> None:
    image = inspect(SERVICE)
    labels, config = image["Labels"], image["Config"]
    assert isinstance(labels, dict)
    assert isinstance(config, dict)
    assert labels["org.opencontainers.image.title"] == "codepmp-service"
    assert labels["org.opencontainers.image.revision"] not in ("", "unknown")
    assert config["User"] == "10001:10001"
    assert "healthz" in json.dumps(image["Healthcheck"])


def test_the_bill_of_materials_names_what_is_inside(running: Running) -> None:
    text = podman("exec", running.name, "cat", "/opt/venv/sbom.cdx.json")
    names = {component["name"] for component in json.loads(text)["components"]}
    assert {"torch", "transformers", "fastapi"} <= names
    assert "pip" not in names


def test_it_can_fetch_a_release(running: Running) -> None:
    """From web servers, stores and the hub: components/release-fetch runs this very image."""
    podman("exec", running.name, "python", "-c", "import aiohttp, huggingface_hub, s3fs")


def test_its_kernels_are_compiled(running: Running) -> None:
    module = "reward_model.attention.compiled"
    command = f"from {module} import tree_kernel; print(tree_kernel() is not None)"
    assert podman("exec", running.name, "python", "-c", command).strip() == "True"
    module = "reward_model.cpu.matrix_units"
    command = f"from {module} import compiled_libraries; print(len(compiled_libraries()))"
    assert podman("exec", running.name, "python", "-c", command).strip() == "1"


@pytest.mark.parametrize("tool", ["gcc", "pip", "pip3", "git"])
def test_it_has_no_build_tools(running: Running, tool: str) -> None:
    assert podman("exec", running.name, "sh", "-c", f"command -v {tool} || echo none") == "none"


def test_it_scores_candidates_without_root_or_a_writable_disk(running: Running) -> None:
    answer = httpx.post(f"{running.url}/v1/score", json=BODY, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.json()["results"][0]["best"] == 0
    assert podman("exec", running.name, "id", "-u") == "10001"
    refused = podman("exec", running.name, "sh", "-c", "touch /app/x 2>/dev/null || echo refused")
    assert refused == "refused"


def test_it_finishes_what_it_admitted_when_it_is_stopped() -> None:
    with service() as container:
        answers: list[int] = []
        candidates = [f"def larger(a, b):\n    return max(a, b) + {n}" for n in range(512)]
        many = {"inputs": [{"prompt": "The larger of two numbers.", "candidates": candidates}]}

        def ask() -> None:
            answers.append(
                httpx.post(f"{container.url}/v1/score", json=many, timeout=60).status_code
            )

        asking = threading.Thread(target=ask)
        asking.start()
        _await_admitted(container.url)
        assert answers == []
        podman("stop", "--time=60", container.name)
        asking.join()
        assert answers == [200]
        assert exit_code(container.name) == 0


def _await_admitted(url: str) -> None:
    """Until a request is in."""
    for _ in range(10_000):
        metrics = httpx.get(f"{url}/metrics").text
        if any(
            line.startswith("reward_queue_items{") and not line.endswith(" 0.0")
            for line in metrics.splitlines()
        ):
            return
    raise AssertionError("nothing was admitted")

"""What `kubectl kustomize` makes of the folders of k8s/, and where to find things in it."""

import functools
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "k8s"
OVERLAYS = ("cpu", "gpu", "vllm", "production")
TRAINING = ("torchrun", "trainjob", "synthesis")
RESTRICTED = (
    *(f"overlays/{name}" for name in OVERLAYS),
    *(f"training/{name}" for name in TRAINING),
)
# Its pods build walls of namespaces and mounts, which the restricted standard does not admit.
SANDBOXED = "training/feedback"
FOLDERS = (*RESTRICTED, SANDBOXED)
COMPONENTS = sorted(path.name for path in (K8S / "components").iterdir())

Object = dict[str, object]


def tool(name: str) -> str:
    """The path of a program; skips the test where it is not installed."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(
            f"{name} is not installed: scripts/install dev and scripts/install-tools bring it"
        )
    return found


def render(folder: Path) -> list[Object]:
    """All objects of a folder with a kustomization: the caller's own, to change as it likes."""
    return list(yaml.load_all(_manifest(folder), Loader=yaml.CSafeLoader))


@functools.cache
def _manifest(folder: Path) -> str:
    command = [tool("kubectl"), "kustomize", str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stderr == "", f"kustomize warns: {run.stderr}"
    return run.stdout


def rendered(name: str) -> list[Object]:
    return render(K8S / name)


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    return [one for one in objects if one["kind"] in kinds]


def one_of_kind(objects: list[Object], kind: str) -> Object:
    (found,) = of_kind(objects, kind)
    return found


def at(value: object, *path: str | int) -> object:
    """What lies at a path, or None where it ends early."""
    for step in path:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def items_at(value: object, *path: str | int) -> list[Object]:
    """The list of objects at a path; empty where there is none."""
    found = at(value, *path) or []
    assert isinstance(found, list)
    return found


def text_at(value: object, *path: str | int) -> str:
    found = at(value, *path)
    assert isinstance(found, str), f"{path}: {found!r}"
    return found


def integer_at(value: object, *path: str | int) -> int:
    found = at(value, *path)
    assert isinstance(found, int), f"{path}: {found!r}"
    return found


def labels_at(value: object, *path: str | int) -> dict[str, str]:
    found = at(value, *path)
    assert isinstance(found, dict), f"{path}: {found!r}"
    return found


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return selector.items() <= labels.items()


def template_of(workload: Object) -> Object:
    template = at(workload, "spec", "template")
    assert isinstance(template, dict)
    return template


def pod_templates(objects: list[Object]) -> list[Object]:
    """Every pod template, however deep; custom resources carry them, too."""
    found: list[Object] = []
    stack: list[object] = list(objects)
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            if isinstance(at(value, "spec", "containers"), list):
                found.append(value)
            stack += value.values()
        elif isinstance(value, list):
            stack += value
    return found


def containers(template: Object) -> list[Object]:
    return [
        *items_at(template, "spec", "initContainers"),
        *items_at(template, "spec", "containers"),
    ]


def settings_of(objects: list[Object]) -> dict[str, str]:
    """The variables that the server is started with."""
    (found,) = [
        one
        for one in of_kind(objects, "ConfigMap")
        if text_at(one, "metadata", "name").startswith("reward-model-settings")
    ]
    return labels_at(found, "data")

"""Every folder renders, and every object is one that Kubernetes or its operator takes."""

import json
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.k8s.rendering import (
    COMPONENTS,
    FOLDERS,
    K8S,
    ROOT,
    Object,
    pod_templates,
    render,
    rendered,
    text_at,
)

SCHEMAS = Path(__file__).parent / "schemas"
VERSIONS = ("1.30", kubernetes_validate.latest_version())
NEWER = {"release-image": "1.31"}
"""The first version that has what a component uses, where the oldest has it not."""


def check(one: Object, version: str) -> None:
    """Strictly: an unknown field is an error.

    Raises:
        kubernetes_validate.ValidationError, jsonschema.ValidationError: it is none.
    """
    schema = SCHEMAS / f"{one['kind']}.json"
    if schema.exists():
        Draft202012Validator(json.loads(schema.read_text())).validate(one)
    else:
        kubernetes_validate.validate(one, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("folder", FOLDERS)
def test_every_object_is_valid(folder: str, version: str) -> None:
    objects = rendered(folder)
    for one in objects:
        check(one, version)
    for template in pod_templates(objects):
        pod: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}
        kubernetes_validate.validate(whole(pod, template), version, strict=True)


def whole(pod: Object, template: Object) -> Object:
    """A patch of Kubeflow's has no image."""
    spec = template["spec"]
    assert isinstance(spec, dict)
    spec = spec | {"containers": [{"image": "patched", **one} for one in spec["containers"]]}
    return {**pod, "spec": spec}


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_component_fits_onto_the_base(component: str, tmp_path: Path) -> None:
    """Also those that no overlay uses."""
    relative = Path(*[".."] * len(tmp_path.parts[1:])) / str(K8S)[1:]
    content = {
        "resources": [str(relative / "base")],
        "components": [str(relative / "components" / component)],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(content))
    for one in render(tmp_path):
        check(one, kubernetes_validate.latest_version())
        check(one, NEWER.get(component, "1.30"))


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_object_comes_twice(folder: str) -> None:
    names = [(one["kind"], text_at(one, "metadata", "name")) for one in rendered(folder)]
    assert len(names) == len(set(names))


def test_a_misspelt_field_is_found() -> None:
    service = next(one for one in rendered("overlays/cpu") if one["kind"] == "Service")
    with pytest.raises(kubernetes_validate.ValidationError):
        check({**service, "spec": {"porst": []}}, "1.30")


def test_every_image_is_of_this_version() -> None:
    version = next(
        line.split('"')[1]
        for line in (ROOT / "pyproject.toml").read_text().splitlines()
        if line.startswith("version = ")
    )
    for folder in FOLDERS:
        for image in images(rendered(folder)):
            name, _, tag = image.rpartition(":")
            assert name in ("codepmp-service", "codepmp-trainer")
            assert tag.split("-")[0] == version


def images(value: object) -> list[str]:
    """Of every container, wherever it is."""
    if isinstance(value, list):
        return [image for one in value for image in images(one)]
    if isinstance(value, dict):
        here = [value["image"]] if isinstance(value.get("image"), str) else []
        return here + [image for one in value.values() for image in images(one)]
    return []

"""The overlays that the documentation shows render, and change what they say they change."""

import os
import re
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.k8s.rendering import (
    K8S,
    ROOT,
    Object,
    at,
    containers,
    of_kind,
    one_of_kind,
    render,
    settings_of,
    template_of,
)

PAGE = (ROOT / "docs" / "deploy.md").read_text()
OVERLAYS = re.findall(r"```yaml\n# my-cluster/kustomization\.yaml\n(.*?)```", PAGE, re.DOTALL)


def overlay(text: str, tmp_path: Path) -> list[Object]:
    """Render an overlay of the page from a folder elsewhere."""
    k8s = os.path.relpath(K8S, tmp_path.resolve())
    (tmp_path / "kustomization.yaml").write_text(text.replace("../k8s", k8s))
    return render(tmp_path)


@pytest.mark.parametrize("text", OVERLAYS)
def test_every_overlay_of_the_page_renders_valid_objects_in_one_namespace(
    text: str, tmp_path: Path
) -> None:
    objects = overlay(text, tmp_path)
    for one in of_kind(objects, "Deployment", "Ingress", "NetworkPolicy"):
        kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)
    # Components on top of a finished overlay get no namespace from it.
    spaced = [one for one in objects if one["kind"] != "Namespace"]
    assert {at(one, "metadata", "namespace") for one in spaced} == {"reward-model"}


def shown(word: str) -> str:
    texts: list[str] = [text for text in OVERLAYS if word in text]
    assert len(texts) == 1
    return texts[0]


def test_the_release_that_is_fetched_is_named_in_an_overlay_on_top(tmp_path: Path) -> None:
    objects = overlay(shown("RELEASE_URL"), tmp_path)
    deployment = one_of_kind(objects, "Deployment")
    pod = at(deployment, "spec", "template", "spec")
    named = at(pod, "initContainers", 0, "envFrom", 0, "configMapRef", "name")
    maps = {at(one, "metadata", "name"): one["data"] for one in of_kind(objects, "ConfigMap")}
    data = maps[named]
    assert isinstance(data, dict)
    assert data["RELEASE_URL"] == "https://releases.internal.example.com/my-rm/2.0.0"
    assert not set(data["RELEASE_SHA256"]) <= {"0"}


def test_hosts_sources_and_the_collector_are_named_in_an_overlay_on_top(tmp_path: Path) -> None:
    objects = overlay(shown("REWARD_TRUSTED_HOSTS"), tmp_path)
    ingress = one_of_kind(objects, "Ingress")
    host = "rewards.internal.example.com"
    assert at(ingress, "spec", "rules", 0, "host") == host
    assert at(ingress, "spec", "tls", 0, "hosts") == [host]
    assert settings_of(objects)["REWARD_TRUSTED_HOSTS"].startswith(host)
    policy = yaml.safe_dump(one_of_kind(objects, "NetworkPolicy"))
    assert "my-ingress" in policy
    assert "monitoring" in policy
    assert "4318" in policy


def test_without_a_rule_egress_is_denied_and_the_api_server_drops_nothing() -> None:
    policy = at(one_of_kind(render(K8S / "base"), "NetworkPolicy"), "spec")
    assert isinstance(policy, dict)
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in policy


def test_the_image_is_built_under_the_name_that_a_kubelet_looks_for() -> None:
    deployment = one_of_kind(render(K8S / "overlays" / "cpu"), "Deployment")
    (container,) = containers(template_of(deployment))
    assert f"scripts/build-image cpu docker.io/library/{container['image']}" in PAGE


def test_deleting_by_label_spares_the_namespace_and_what_a_user_put_there() -> None:
    (kinds,) = re.findall(r"kubectl -n reward-model delete (\S+) \\\n  -l (\S+)", PAGE)
    named, (label, _, value) = set(kinds[0].split(",")), kinds[1].partition("=")
    for one in render(K8S / "overlays" / "cpu"):
        kind = str(one["kind"]).lower()
        if kind == "namespace":
            assert kind not in named
            continue
        assert kind in named
        assert at(one, "metadata", "labels", label) == value

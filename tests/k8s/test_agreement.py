"""What no schema sees: manifests, application and each other agree."""

from pathlib import Path

import pytest
import yaml

from benchmarks.autoscaling import scaling
from benchmarks.autoscaling.__main__ import BUSY, WORK_SECONDS
from service.app import create_app
from service.scheduling.queue import PRIORITIES
from service.settings import DEFAULT_MODEL, Settings
from tests.k8s.rendering import (
    FOLDERS,
    K8S,
    OVERLAYS,
    RESTRICTED,
    ROOT,
    SANDBOXED,
    Object,
    at,
    containers,
    integer_at,
    items_at,
    labels_at,
    of_kind,
    one_of_kind,
    pod_templates,
    rendered,
    selects,
    settings_of,
    template_of,
    text_at,
)

LEAVING = 5
"""Seconds that the process takes after its drain: last answers, an engine's last batch, exit."""
TOKENS_PER_SECOND = 8_500
"""What two slow cores compute of the release in the image."""
OTHERS = {
    "DO_NOT_TRACK",
    "HF_HUB_OFFLINE",
    "HOME",
    "OMP_NUM_THREADS",
    "TORCHINDUCTOR_CACHE_DIR",
    "TORCHINDUCTOR_COMPILE_THREADS",
    "TRITON_CACHE_DIR",
    "VLLM_CACHE_ROOT",
    "VLLM_NO_USAGE_STATS",
    "XDG_CACHE_HOME",
}
"""Variables that other libraries read."""
DOCKERFILE = ROOT / "docker" / "service.Dockerfile"
SERVING = [f"overlays/{name}" for name in OVERLAYS]


def pod_of(folder: str) -> Object:
    return template_of(one_of_kind(rendered(folder), "Deployment"))


def server_of(folder: str) -> Object:
    (server,) = items_at(pod_of(folder), "spec", "containers")
    return server


@pytest.mark.parametrize("folder", SERVING)
def test_selectors_find_the_pods(folder: str) -> None:
    objects = rendered(folder)
    labels = labels_at(pod_of(folder), "metadata", "labels")
    service = one_of_kind(objects, "Service")
    selectors = [
        labels_at(one_of_kind(objects, "Deployment"), "spec", "selector", "matchLabels"),
        labels_at(service, "spec", "selector"),
        labels_at(one_of_kind(objects, "PodDisruptionBudget"), "spec", "selector", "matchLabels"),
        labels_at(one_of_kind(objects, "NetworkPolicy"), "spec", "podSelector", "matchLabels"),
        *(
            labels_at(one, "labelSelector", "matchLabels")
            for one in items_at(pod_of(folder), "spec", "topologySpreadConstraints")
        ),
    ]
    assert all(selectors)
    assert all(selects(selector, labels) for selector in selectors)
    for monitor in of_kind(objects, "ServiceMonitor"):
        wanted = labels_at(monitor, "spec", "selector", "matchLabels")
        assert selects(wanted, labels_at(service, "metadata", "labels"))


@pytest.mark.parametrize("folder", SERVING)
def test_ports_and_paths_exist_in_the_app(folder: str) -> None:
    settings = Settings.model_validate(reward_settings(folder))
    paths = create_app(Settings()).openapi()["paths"]
    server = server_of(folder)
    (port,) = items_at(server, "ports")
    assert port["containerPort"] == settings.port
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert at(server, probe, "httpGet", "port") == port["name"]
        assert at(server, probe, "httpGet", "path") in paths
    (exposed,) = items_at(one_of_kind(rendered(folder), "Service"), "spec", "ports")
    assert exposed["targetPort"] == port["name"]
    for monitor in of_kind(rendered(folder), "ServiceMonitor"):
        (endpoint,) = items_at(monitor, "spec", "endpoints")
        assert endpoint["port"] == exposed["name"]
        assert endpoint["path"] in paths


def reward_settings(folder: str) -> dict[str, str]:
    """By the names of the fields."""
    variables = settings_of(rendered(folder))
    prefix = "REWARD_"
    return {
        name.removeprefix(prefix).lower(): value
        for name, value in variables.items()
        if name.startswith(prefix)
    }


@pytest.mark.parametrize("folder", SERVING)
def test_every_variable_is_a_setting_with_a_value_that_it_takes(folder: str) -> None:
    settings = reward_settings(folder)
    assert settings.keys() <= Settings.model_fields.keys()
    Settings.model_validate(settings)  # strings, as the environment has them
    others = {name for name in settings_of(rendered(folder)) if not name.startswith("REWARD_")}
    assert others <= OTHERS
    given = {text_at(one, "name") for one in items_at(server_of(folder), "env")}
    assert given <= OTHERS


@pytest.mark.parametrize("folder", SERVING)
def test_there_is_time_to_drain(folder: str) -> None:
    settings = Settings.model_validate(reward_settings(folder))
    before = integer_at(server_of(folder), "lifecycle", "preStop", "sleep", "seconds")
    grace = integer_at(pod_of(folder), "spec", "terminationGracePeriodSeconds")
    assert grace > before + settings.drain_seconds + LEAVING


def test_two_cores_can_drain_what_they_admit() -> None:
    settings = Settings.model_validate(reward_settings("overlays/cpu"))
    full = len(PRIORITIES) * settings.max_queue_tokens
    assert full <= TOKENS_PER_SECOND * settings.drain_seconds


@pytest.mark.parametrize("folder", SERVING)
def test_a_pod_is_out_of_the_endpoints_before_its_drain_begins(folder: str) -> None:
    """Also one that proxies know by its readiness alone."""
    server = server_of(folder)
    period = integer_at(server, "readinessProbe", "periodSeconds")
    failures = integer_at(server, "readinessProbe", "failureThreshold")
    assert period * failures < integer_at(server, "lifecycle", "preStop", "sleep", "seconds")


@pytest.mark.parametrize("folder", SERVING)
def test_a_rollout_takes_nothing_away_before_it_has_put_something_there(folder: str) -> None:
    strategy = at(one_of_kind(rendered(folder), "Deployment"), "spec", "strategy")
    assert at(strategy, "rollingUpdate", "maxUnavailable") == 0
    assert at(strategy, "rollingUpdate", "maxSurge") == 1


@pytest.mark.parametrize("folder", SERVING)
def test_the_release_is_on_a_volume_or_in_the_image(folder: str) -> None:
    model = Path(reward_settings(folder)["model"])
    mounts = [
        Path(text_at(one, "mountPath")) for one in items_at(server_of(folder), "volumeMounts")
    ]
    copied = (
        f"COPY {DEFAULT_MODEL.relative_to(ROOT)} {model}" in DOCKERFILE.read_text().splitlines()
    )
    assert copied or any(model.is_relative_to(mount) for mount in mounts)


def test_threads_are_those_of_the_request() -> None:
    requests = at(server_of("overlays/cpu"), "resources", "requests", "cpu")
    variables = settings_of(rendered("overlays/cpu"))
    assert variables["REWARD_CPU_THREADS"] == variables["OMP_NUM_THREADS"] == requests


def test_gpus_are_those_of_tensor_parallelism() -> None:
    gpus = at(server_of("overlays/vllm"), "resources", "limits", "nvidia.com/gpu")
    assert reward_settings("overlays/vllm")["tensor_parallel"] == gpus


@pytest.mark.parametrize("folder", SERVING)
def test_all_containers_of_a_pod_have_one_image(folder: str) -> None:
    assert len({text_at(one, "image") for one in containers(pod_of(folder))}) == 1


@pytest.mark.parametrize("folder", SERVING)
def test_config_maps_and_volumes_that_are_named_are_there(folder: str) -> None:
    there = {text_at(one, "metadata", "name") for one in of_kind(rendered(folder), "ConfigMap")}
    volumes = {text_at(one, "name") for one in items_at(pod_of(folder), "spec", "volumes")}
    for container in containers(pod_of(folder)):
        named = [at(one, "configMapRef", "name") for one in items_at(container, "envFrom")]
        assert {name for name in named if name} <= there
        assert {text_at(one, "name") for one in items_at(container, "volumeMounts")} <= volumes


def test_one_autoscaler_at_a_time() -> None:
    for folder in SERVING:
        (scaler,) = of_kind(rendered(folder), "HorizontalPodAutoscaler", "ScaledObject")
        target = at(scaler, "spec", "scaleTargetRef", "name")
        deployment = one_of_kind(rendered(folder), "Deployment")
        assert target == text_at(deployment, "metadata", "name")
        assert at(deployment, "spec", "replicas") is None


def test_both_autoscalers_have_the_targets_that_were_simulated() -> None:
    hpa = one_of_kind(rendered("overlays/cpu"), "HorizontalPodAutoscaler")
    work, busy = (
        text_at(one, "pods", "target", "averageValue") for one in items_at(hpa, "spec", "metrics")
    )
    assert (float(work), float(busy.removesuffix("m")) / 1000) == (WORK_SECONDS, BUSY)
    scaled = one_of_kind(rendered("overlays/production"), "ScaledObject")
    thresholds = [
        float(text_at(one, "metadata", "threshold")) for one in items_at(scaled, "spec", "triggers")
    ]
    assert thresholds == [WORK_SECONDS, BUSY]
    path = ("spec", "advanced", "horizontalPodAutoscalerConfig", "behavior")
    assert at(scaled, *path) == at(hpa, "spec", "behavior")


def test_the_autoscaler_is_as_quick_as_the_simulated_one() -> None:
    behavior = at(
        one_of_kind(rendered("overlays/cpu"), "HorizontalPodAutoscaler"), "spec", "behavior"
    )
    assert behavior == {
        "scaleUp": {
            "stabilizationWindowSeconds": 0,
            "policies": [
                {
                    "type": "Percent",
                    "value": 100 * (scaling.UP_FACTOR - 1),
                    "periodSeconds": scaling.UP_PERIOD,
                },
                {"type": "Pods", "value": scaling.UP_PODS, "periodSeconds": scaling.UP_PERIOD},
            ],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": scaling.STABILIZATION,
            "policies": [
                {
                    "type": "Percent",
                    "value": 100 * (1 - scaling.DOWN_FACTOR),
                    "periodSeconds": scaling.DOWN_PERIOD,
                }
            ],
        },
    }


def test_routes_lead_to_the_service() -> None:
    objects = rendered("overlays/production")
    service = one_of_kind(objects, "Service")
    (rule,) = items_at(one_of_kind(objects, "HTTPRoute"), "spec", "rules")
    (backend,) = items_at(rule, "backendRefs")
    assert backend["name"] == text_at(service, "metadata", "name")
    assert backend["port"] == at(service, "spec", "ports", 0, "port")


def test_the_gateway_is_let_in() -> None:
    """A parentRef names the Gateway's namespace; its proxies are taken to run there."""
    objects = rendered("overlays/production")
    parent = text_at(one_of_kind(objects, "HTTPRoute"), "spec", "parentRefs", 0, "namespace")
    (rule,) = items_at(one_of_kind(objects, "NetworkPolicy"), "spec", "ingress")
    namespaces = [at(one, "namespaceSelector", "matchLabels") for one in items_at(rule, "from")]
    assert {"kubernetes.io/metadata.name": parent} in namespaces
    assert {"kubernetes.io/metadata.name": "monitoring"} in namespaces


def test_the_ingress_leads_to_the_service() -> None:
    """No overlay has it."""
    (ingress,) = yaml.safe_load_all((K8S / "components/ingress/ingress.yaml").read_text())
    (path,) = items_at(ingress, "spec", "rules", 0, "http", "paths")
    service = one_of_kind(rendered("overlays/cpu"), "Service")
    assert at(path, "backend", "service", "name") == text_at(service, "metadata", "name")
    (port,) = items_at(service, "spec", "ports")
    assert at(path, "backend", "service", "port", "name") == port["name"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_resources_are_set_and_memory_is_not_overcommitted(folder: str) -> None:
    for template in whole_pods(folder):
        for container in containers(template):
            for what in ("cpu", "memory", "ephemeral-storage"):
                assert at(container, "resources", "requests", what), what
            memory = at(container, "resources", "limits", "memory")
            assert memory == at(container, "resources", "requests", "memory")


@pytest.mark.parametrize("folder", RESTRICTED)
def test_pods_are_restricted(folder: str) -> None:
    """By the pod security standard of that name, and with a root file system that is read-only."""
    for template in pod_templates(rendered(folder)):
        pod = at(template, "spec", "securityContext")
        assert at(pod, "runAsNonRoot") is True
        assert at(pod, "runAsUser") == at(pod, "fsGroup") == 10001
        assert at(pod, "seccompProfile", "type") == "RuntimeDefault"
        for container in containers(template):
            context = at(container, "securityContext")
            assert at(context, "allowPrivilegeEscalation") is False
            assert at(context, "readOnlyRootFilesystem") is True
            assert at(context, "capabilities", "drop") == ["ALL"]
            writable = [text_at(one, "mountPath") for one in items_at(container, "volumeMounts")]
            assert "/tmp" in writable  # noqa: S108 - a mount in a container


@pytest.mark.parametrize("folder", FOLDERS)
def test_everything_is_in_one_namespace(folder: str) -> None:
    objects = rendered(folder)
    (namespace,) = of_kind(objects, "Namespace")
    others = [one for one in objects if one is not namespace]
    assert {at(one, "metadata", "namespace") for one in others} == {
        at(namespace, "metadata", "name")
    }


@pytest.mark.parametrize("folder", RESTRICTED)
def test_namespaces_admit_restricted_pods_alone(folder: str) -> None:
    (namespace,) = of_kind(rendered(folder), "Namespace")
    label = "pod-security.kubernetes.io/enforce"
    assert labels_at(namespace, "metadata", "labels")[label] == "restricted"


def test_pods_of_a_sandbox_may_make_namespaces_and_mounts_and_nothing_else() -> None:
    """`tests/docker` runs the image with just that."""
    (namespace,) = of_kind(rendered(SANDBOXED), "Namespace")
    label = "pod-security.kubernetes.io/enforce"
    assert labels_at(namespace, "metadata", "labels")[label] == "privileged"
    (template,) = pod_templates(rendered(SANDBOXED))
    pod = at(template, "spec", "securityContext")
    assert (at(pod, "runAsNonRoot"), at(pod, "runAsUser")) == (True, 10001)
    profile = Path(text_at(pod, "seccompProfile", "localhostProfile")).name
    assert (ROOT / "docker" / profile).is_file()
    first, second = containers(template)
    assert at(first, "securityContext") == at(second, "securityContext")
    assert at(first, "securityContext") == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def whole_pods(folder: str) -> list[Object]:
    """All but patches of somebody else's, which have no image."""
    templates = pod_templates(rendered(folder))
    return [one for one in templates if all("image" in each for each in containers(one))]

"""Alerts do what their unit tests say, each has a page, and none asks for what nobody exports."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from service.errors import ServiceError
from tests.k8s.exported import names_of_metrics, without_text
from tests.k8s.rendering import K8S, ROOT, items_at, labels_at, one_of_kind, rendered, text_at, tool

RULES = yaml.safe_load((K8S / "components/monitoring/prometheusrule.yaml").read_text())["spec"]
CASES = Path(__file__).parent / "alerts"
RUNBOOK = ROOT / "docs" / "runbook"
EVERY_RULE = [rule for group in items_at(RULES, "groups") for rule in items_at(group, "rules")]
"""Those that record what alerts ask for, too."""
ALERTS = [rule for rule in EVERY_RULE if "alert" in rule]
NAMES = sorted({text_at(rule, "alert") for rule in ALERTS})


def test_every_alert_has_unit_tests_and_a_page() -> None:
    assert sorted(path.stem for path in CASES.glob("*.yaml")) == NAMES
    assert sorted(path.stem for path in RUNBOOK.glob("Reward*.md")) == NAMES


def test_every_alert_names_its_page_and_how_bad_it_is() -> None:
    for rule in ALERTS:
        assert (ROOT / text_at(rule, "annotations", "runbook")).stem == rule["alert"]
        assert labels_at(rule, "labels")["severity"] in ("critical", "warning")


@pytest.mark.parametrize("alert", NAMES)
def test_unit_tests_show_it_firing_and_silent(alert: str) -> None:
    cases = yaml.safe_load((CASES / f"{alert}.yaml").read_text())["tests"]
    expected = [one["exp_alerts"] for case in cases for one in case["alert_rule_test"]]
    assert any(expected)
    assert not all(expected)
    assert {one["alertname"] for case in cases for one in case["alert_rule_test"]} == {alert}


@pytest.mark.parametrize("alert", NAMES)
def test_promtool_agrees(alert: str, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(RULES))
    case = tmp_path / f"{alert}.yaml"
    case.write_text((CASES / case.name).read_text())
    command = [tool("promtool"), "test", "rules", str(case)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


async def test_rules_ask_for_metrics_that_the_service_exports() -> None:
    exported = await names_of_metrics()
    own = {text_at(rule, "record") for rule in EVERY_RULE if "record" in rule}
    for rule in EVERY_RULE:
        asked = set(re.findall(r"\b(?:reward|process)[\w:]*", without_text(text_at(rule, "expr"))))
        assert asked
        assert asked <= exported | own, asked - exported - own


def test_rules_ask_for_outcomes_that_a_request_can_have() -> None:
    codes = {each.code for each in errors()}
    for rule in EVERY_RULE:
        for listed in re.findall(r'outcome=~"([^"]*)"', text_at(rule, "expr")):
            assert set(listed.split("|")) <= codes


def errors() -> Iterator[type[ServiceError]]:
    """Of the whole tree."""
    left = [ServiceError]
    while left:
        left += left[0].__subclasses__()
        yield left.pop(0)


async def test_the_autoscalers_ask_for_metrics_that_the_service_exports() -> None:
    exported = await names_of_metrics()
    production = rendered("overlays/production")
    scaled = one_of_kind(production, "ScaledObject")
    for trigger in items_at(scaled, "spec", "triggers"):
        query = without_text(text_at(trigger, "metadata", "query"))
        asked = set(re.findall(r"\breward_\w+", query))
        assert asked
        assert asked <= exported


def test_the_adapter_serves_what_the_autoscaler_names() -> None:
    rules = yaml.safe_load((K8S / "adapter/rules.yaml").read_text())["rules"]["custom"]
    served = {
        text_at(rule, "name", "as") if "as" in rule["name"] else text_at(rule, "name", "matches")
        for rule in rules
    }
    scaler = one_of_kind(rendered("overlays/cpu"), "HorizontalPodAutoscaler")
    metrics = items_at(scaler, "spec", "metrics")
    assert {text_at(one, "pods", "metric", "name") for one in metrics} == {
        name.strip("^$") for name in served
    }


async def test_the_adapter_asks_for_metrics_that_the_service_exports() -> None:
    exported = await names_of_metrics()
    for rule in yaml.safe_load((K8S / "adapter/rules.yaml").read_text())["rules"]["custom"]:
        assert text_at(rule, "seriesQuery").partition("{")[0] in exported

"""The dashboard's file is what its code makes, and every query asks for something that is there."""

import json
import re
import subprocess
from pathlib import Path

import yaml

from scripts.dashboard import FILE, render
from scripts.graphs import ROWS, expressions
from tests.k8s.exported import names_of_metrics, without_text
from tests.k8s.rendering import tool


def test_the_file_is_what_the_code_makes() -> None:
    assert FILE.read_text() == render(), "run .venv/bin/python -m scripts.dashboard"


def test_every_graph_is_on_it_with_queries_that_are_told_apart() -> None:
    panels = [one for one in json.loads(FILE.read_text())["panels"] if one["type"] == "timeseries"]
    graphs = [graph for row in ROWS.values() for graph in row]
    assert [panel["title"] for panel in panels] == [graph.title for graph in graphs]
    for panel, graph in zip(panels, graphs, strict=True):
        assert len({target["refId"] for target in panel["targets"]}) == len(graph.queries)
        assert panel["description"]
    assert len({panel["id"] for panel in panels}) == len(panels)


async def test_queries_ask_for_metrics_that_the_service_exports() -> None:
    exported = await names_of_metrics()
    for expression in expressions():
        asked = set(re.findall(r"\b(?:reward|process)_\w+", without_text(expression)))
        assert asked
        assert asked <= exported, asked - exported


def test_every_query_is_promql(tmp_path: Path) -> None:
    """As rules of a file, which promtool parses."""
    rules = [{"record": f"query:{n}", "expr": one} for n, one in enumerate(expressions())]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    command = [tool("promtool"), "check", "rules", str(file)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr

"""The Grafana dashboard, as code: `.venv/bin/python -m scripts.dashboard` writes its JSON anew.

`scripts/graphs.py` holds what it shows.
"""

import itertools
from pathlib import Path

from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DatasourceVariable,
    QueryVariable,
    Row,
)
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableRefresh

from scripts.graphs import ROWS, Graph

FILE = Path(__file__).resolve().parents[1] / "k8s/components/monitoring/reward-model.json"
_WIDTH, _HEIGHT = 8, 7
_HERE = 'namespace="$namespace"'
_PROMETHEUS = DataSourceRef("prometheus", "$datasource")


def render() -> str:
    """The JSON that Grafana imports."""
    builder = (
        Dashboard("Reward model")
        .uid("reward-model")
        .tags(["reward-model"])
        .refresh("30s")
        .time("now-3h", "now")
        .with_variable(DatasourceVariable("datasource").type("prometheus"))
        .with_variable(
            QueryVariable("namespace")
            .query("label_values(reward_ready, namespace)")
            .datasource(_PROMETHEUS)
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        )
    )
    ids = itertools.count(1)
    for title, graphs in ROWS.items():
        builder = builder.with_row(Row(title).id(next(ids)))
        for graph in graphs:
            builder = builder.with_panel(_panel(graph).id(next(ids)))
    return JSONEncoder(sort_keys=True, indent=1).encode(builder.build()) + "\n"


def _panel(graph: Graph) -> TimeSeries:
    panel = (
        TimeSeries()
        .title(graph.title)
        .description(graph.says)
        .unit(graph.unit)
        .datasource(_PROMETHEUS)
        .span(_WIDTH)
        .height(_HEIGHT)
    )
    for letter, (legend, expression) in zip("ABCDEFGH", graph.queries.items(), strict=False):
        query = Dataquery().expr(expression.replace("HERE", _HERE)).legend_format(legend)
        panel = panel.with_target(query.ref_id(letter).datasource(_PROMETHEUS))
    return panel


if __name__ == "__main__":
    FILE.write_text(render())
    print(FILE)

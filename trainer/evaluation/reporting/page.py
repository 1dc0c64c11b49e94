"""The report as one HTML page that needs nothing else: no scripts, pictures inside."""

from base64 import b64encode
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from trainer.evaluation.measures.estimate import Estimate
from trainer.evaluation.measures.table import Table
from trainer.evaluation.reporting import plots
from trainer.evaluation.reporting.report import Report


def html(report: Report) -> str:
    """Every table with its picture."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["sentence"] = lambda text: text[:1].upper() + text[1:]
    template = environment.get_template("report.html.jinja")
    return template.render(
        report=report, picture=picture, contenders=contenders, figure=figure, label=plots.label
    )


def picture(table: Table) -> str:
    """Address of the table's picture, which holds the picture itself."""
    return "data:image/svg+xml;base64," + b64encode(plots.svg(table)).decode()


def contenders(table: Table) -> list[str]:
    """Columns: all contenders of any row, the model first."""
    return list(dict.fromkeys(name for row in table.rows.values() for name in row))


def figure(estimate: Estimate) -> str:
    return f"{estimate.value:.3f}"

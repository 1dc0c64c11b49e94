"""The report as one self-contained HTML page: no scripts, pictures inside."""

from base64 import b64encode
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from trainer.evaluation.measures.estimate import Estimate
from trainer.evaluation.measures.table import Table
from trainer.evaluation.reporting import plots
from trainer.evaluation.reporting.report import Report


def html(report: Report) -> str:
    """Render every table with its picture."""
    # Names of tasks, models and rows come from users' files: they are escaped.
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
    """A data URL that holds the table's picture."""
    return "data:image/svg+xml;base64," + b64encode(plots.svg(table)).decode()


def contenders(table: Table) -> list[str]:
    """All contenders of any row, which are the table's columns, the model first."""
    return list(dict.fromkeys(name for row in table.rows.values() for name in row))


def figure(estimate: Estimate) -> str:
    """A figure as it is shown."""
    return f"{estimate.value:.3f}"

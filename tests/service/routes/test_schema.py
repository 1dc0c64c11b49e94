"""Thousands of requests made from the OpenAPI document: nothing breaks, and every answer is in it.

That what the document allows is accepted is not asked for: JSON Schema cannot say that a body needs
one of two fields, or that a chat template must take a conversation.
"""

from pathlib import Path

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from benchmarks.harness.processes import running
from benchmarks.harness.servers import ours
from tests.checkpoints import make_checkpoint

CASES = 2_000
PATIENCE = 60
EXPECTATIONS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def test_thousands_of_requests_are_answered_as_documented(tmp_path: Path) -> None:
    model = make_checkpoint(tmp_path / "model")
    with running(ours(str(model), device="cpu")) as server:
        schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
        operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
        varied = sum(bool(one.body or one.path_parameters) for one in operations)
        sent = 0

        def check(case: Case) -> None:  # type: ignore[type-arg] # whatever it is a case of
            nonlocal sent
            sent += 1
            case.call_and_validate(timeout=PATIENCE, checks=EXPECTATIONS)

        for operation in operations:
            budget = settings(
                max_examples=1 + CASES // varied,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            budget(given(case=operation.as_strategy())(check))()
    assert sent >= CASES

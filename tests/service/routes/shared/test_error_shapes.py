"""The two shapes of errors that several dialects have in common."""

import pytest

from service.errors import InvalidRequest
from service.routes.shared.error_shapes import (
    DETAIL_ERRORS,
    OPENAI_ERRORS,
    DetailError,
    OpenaiError,
    detail_error,
    openai_error,
)

ERROR = InvalidRequest("inputs is required", param="inputs")


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "invalid_request_error"), (499, "invalid_request_error"), (500, "server_error")],
)
def test_openai_s_shape_tells_whose_fault_it_is(status: int, kind: str) -> None:
    assert openai_error(ERROR, status) == {
        "error": {
            "message": "inputs is required",
            "type": kind,
            "param": "inputs",
            "code": "invalid_request",
        }
    }


def test_the_detail_is_the_message_alone() -> None:
    assert detail_error(ERROR, 422) == {"detail": "inputs is required"}


def test_every_documented_status_has_a_model_and_a_meaning() -> None:
    assert OPENAI_ERRORS.keys() == DETAIL_ERRORS.keys() >= {400, 401, 404, 413, 422, 503}
    assert {entry["model"] for entry in OPENAI_ERRORS.values()} == {OpenaiError}
    assert {entry["model"] for entry in DETAIL_ERRORS.values()} == {DetailError}
    assert all(entry["description"] for entry in OPENAI_ERRORS.values())

"""The words in which a wrong field is named, without what was in it."""

from typing import Annotated, Literal

import pytest
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Discriminator, Field, Tag, ValidationError, model_validator

from service.errors import InvalidRequest
from service.routes.shared.body_types import is_list
from service.routes.shared.validation_errors import explain

SECRET = "my secret text"


class Row(BaseModel, extra="forbid"):
    kind: Literal["a", "b"] = "a"
    texts: Annotated[
        Annotated[str, Tag("<text>")]
        | Annotated[list[Annotated[str, Field(min_length=1)]], Tag("<list>")],
        Discriminator(is_list),
    ] = ""

    @model_validator(mode="after")
    def _fits(self) -> "Row":
        if self.kind == "b" and not self.texts:
            raise ValueError("needs texts")
        return self


class Rows(BaseModel, extra="forbid"):
    rows: list[Row] = Field(min_length=1, max_length=3)
    many: list[int] = Field([], max_length=100)


def fault_of(body: object) -> InvalidRequest:
    with pytest.raises(ValidationError) as invalid:
        Rows.model_validate(body)
    errors = [error | {"loc": ("body", *error["loc"])} for error in invalid.value.errors()]
    return explain(RequestValidationError(errors))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "rows is required"),
        ({"rows": []}, "rows must not be empty"),
        ({"rows": [{}] * 4}, "rows has more entries than the 3 that it may have"),
        (
            {"rows": [{}], "many": [1] * 101},
            "many has more entries than the 100 that it may have: split the request",
        ),
        ({"rows": [{"texts": ["x", ""]}]}, "rows[0].texts[1] must not be empty"),
        ({"rows": [{"texts": 3}]}, "rows[0].texts should be a valid string"),
        ({"rows": [{}, {"kind": SECRET}]}, "rows[1].kind should be 'a' or 'b'"),
        ({"rows": [{"kind": "b"}]}, "rows[0] needs texts"),
        ({"rows": [{"kinds": "a"}]}, "rows[0].kinds is not a known field"),
        ({"row": [SECRET]}, "row is not a known field (and 1 more)"),
        ({"rows": [{SECRET: 1}]}, "rows[0].? is not a known field"),
        ({"rows": [{"<text>": 1}]}, "rows[0].? is not a known field"),
        ({"<secret>": 1, "rows": [{}]}, "? is not a known field"),
        (SECRET, "the body must be a JSON object, sent with Content-Type: application/json"),
    ],
)
def test_the_field_is_named(body: object, message: str) -> None:
    fault = fault_of(body)
    assert fault.message == message
    field = message.split(" ")[0]
    assert fault.param == (None if field == "the" else field)

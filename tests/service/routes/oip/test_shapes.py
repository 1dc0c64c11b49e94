"""The protocol's bodies: tensors of texts, and what they ask to be scored."""

import pytest
from pydantic import ValidationError

from reward_model.text.encoding import Rendered
from service.errors import InvalidRequest
from service.routes.oip.shapes import InferRequest, oip_error


def tensor(name: str, *texts: str, rows: bool = False) -> dict[str, object]:
    data = [[text] for text in texts] if rows else list(texts)
    shape = [len(texts), 1] if rows else [len(texts)]
    return {"name": name, "shape": shape, "datatype": "BYTES", "data": data}


def body(*inputs: dict[str, object], **more: object) -> InferRequest:
    return InferRequest.model_validate({"inputs": list(inputs), **more})


@pytest.mark.parametrize("rows", [False, True])
def test_sentences_are_rendered_texts(rows: bool) -> None:
    request = body(tensor("sentences", "a", "b", rows=rows)).to_scoring_request()
    assert request.inputs == ((Rendered("a"),), (Rendered("b"),))


def test_neighbors_with_one_prompt_are_one_group() -> None:
    request = body(
        tensor("prompt", "p", "p", "q"), tensor("response", "a", "b", "c")
    ).to_scoring_request()
    assert [len(group) for group in request.inputs] == [2, 1]


@pytest.mark.parametrize(
    "inputs",
    [
        [tensor("prompt", "p")],
        [tensor("prompt", "p"), tensor("sentences", "a")],
        [tensor("prompt", "p", "q"), tensor("response", "a")],
        [tensor("sentences", "a") | {"shape": [2]}],
        [tensor("sentences", "a", "b") | {"shape": [1, 2]}],
    ],
)
def test_inputs_that_do_not_fit_together_are_refused(inputs: list[dict[str, object]]) -> None:
    with pytest.raises(ValidationError):
        body(*inputs)


def test_the_output_decides_about_binary_before_the_request_does() -> None:
    text = tensor("sentences", "a")
    all_binary = {"binary_data_output": True}
    output = {"name": "rewards", "parameters": {"binary_data": False}}
    assert body(text).wanted == [("rewards", False)]
    assert body(text, parameters=all_binary).wanted == [("rewards", True)]
    assert body(text, parameters=all_binary, outputs=[output]).wanted == [("rewards", False)]


def test_an_error_is_its_message() -> None:
    assert oip_error(InvalidRequest("wrong"), 422) == {"error": "wrong"}

"""Bodies of the Open Inference Protocol, version 2 (KServe, Triton)."""

import math
from itertools import groupby
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from reward_model.text.chat import Message
from reward_model.text.encoding import Rendered
from service.errors import ServiceError
from service.routes.shared.body_types import Name, Tolerant
from service.routes.shared.criteria import CriteriaText, from_text
from service.routes.shared.refused import Refused
from service.scoring.types import ScoringRequest, chats
from service.settings import MAX_CANDIDATES

InputName = Literal["prompt", "response", "sentences"]
INPUTS: tuple[InputName, ...] = ("prompt", "response", "sentences")

OutputName = Literal["rewards", "parts"]

Flat = Annotated[list[str], Field(max_length=MAX_CANDIDATES, fail_fast=True)]
Rows = Annotated[
    list[Annotated[list[str], Field(max_length=1)]],
    Field(max_length=MAX_CANDIDATES, fail_fast=True),
]


def _data_kind(value: object) -> str:
    # The protocol lets a client send the data of shape [n, 1] flat or nested.
    nested = isinstance(value, list) and bool(value) and isinstance(value[0], list)
    return "<rows>" if nested else "<flat>"


_NO_SHARED_MEMORY = "tensors are sent in the body, shared memory is not supported"


class InputParameters(Tolerant):
    shared_memory_region: Annotated[object, Refused(_NO_SHARED_MEMORY)] = None


class TextTensor(Tolerant):
    name: InputName
    shape: list[Annotated[int, Field(ge=1)]] = Field(
        min_length=1, max_length=2, description="`[n]` or `[n, 1]`."
    )
    datatype: Literal["BYTES"]
    parameters: InputParameters | None = None
    data: Annotated[
        Annotated[Flat, Tag("<flat>")] | Annotated[Rows, Tag("<rows>")], Discriminator(_data_kind)
    ]

    @property
    def texts(self) -> list[str]:
        return [text for row in self.data for text in ([row] if isinstance(row, str) else row)]

    @model_validator(mode="after")
    def _require_fitting_shape(self) -> Self:
        if self.shape[1:] not in ([], [1]):
            raise ValueError("must have the shape [n] or [n, 1]: an element is a whole text")
        if math.prod(self.shape) != len(self.texts):
            raise ValueError(f"has {len(self.texts)} elements, and a shape for another number")
        return self


class OutputParameters(Tolerant):
    binary_data: bool | None = None
    classification: Annotated[
        object, Refused("rewards are numbers, and there are no classes to count", (0,))
    ] = None
    shared_memory_region: Annotated[object, Refused(_NO_SHARED_MEMORY)] = None


class OutputAsked(Tolerant):
    name: OutputName
    parameters: OutputParameters | None = None


class InferParameters(Tolerant):
    binary_data_output: bool | None = None
    timeout: int | None = Field(
        None, ge=0, le=2**64 - 1, description="Microseconds; 0 is no limit."
    )
    criteria: CriteriaText | None = Field(
        None,
        description="Score by these criteria or labels: names, or name=weight, separated by "
        "commas. The output `parts` then has a column for each.",
    )


class InferRequest(Tolerant):
    """Texts to score: either `prompt` and `response`, or `sentences` alone.

    Sentences are texts that the client rendered: their special tokens are tokens.
    """

    id: Name | None = Field(None, description="Comes back with the answer.")
    inputs: list[TextTensor] = Field(min_length=1, max_length=len(INPUTS))
    outputs: Annotated[list[OutputAsked], Field(max_length=2)] | None = None
    parameters: InferParameters | None = None

    @model_validator(mode="before")
    @classmethod
    def _require_criteria_in_parameters(cls, body: object) -> object:
        if isinstance(body, dict) and body.get("criteria") is not None:
            raise ValueError("has criteria, which are a parameter: send them in parameters")
        return body

    @model_validator(mode="after")
    def _require_known_inputs(self) -> Self:
        if sorted(tensor.name for tensor in self.inputs) not in (
            ["prompt", "response"],
            ["sentences"],
        ):
            raise ValueError("needs the inputs prompt and response, or the input sentences alone")
        if any(tensor.shape != self.shape for tensor in self.inputs):
            raise ValueError("must have prompt and response of one shape")
        if not self.criteria and any(one.name == "parts" for one in self.outputs or ()):
            raise ValueError("asks for parts, and has no criteria in its parameters")
        return self

    @property
    def criteria(self) -> str | None:
        return self.parameters.criteria if self.parameters else None

    @property
    def shape(self) -> list[int]:
        """The shape of every input, and of the output."""
        return self.inputs[0].shape

    @property
    def wanted(self) -> list[tuple[OutputName, bool]]:
        """The outputs that are wanted, and whether in binary."""
        # What is asked of an output goes before what is asked of all outputs.
        if self.outputs:
            return [
                (one.name, one.parameters is not None and one.parameters.binary_data is True)
                for one in self.outputs
            ]
        binary = self.parameters is not None and self.parameters.binary_data_output is True
        return [("rewards", binary), ("parts", binary)] if self.criteria else [("rewards", binary)]

    def to_scoring_request(self) -> ScoringRequest:
        texts = {tensor.name: tensor.texts for tensor in self.inputs}
        asked = self.parameters.timeout if self.parameters else None
        timeout = asked / 1e6 if asked else None
        if "sentences" in texts:
            items = tuple((Rendered(text),) for text in texts["sentences"])
            return ScoringRequest(items, timeout=timeout, criteria=from_text(self.criteria))
        # Neighbors with one prompt make one group, whose prompt is then computed once.
        pairs = zip(texts["prompt"], texts["response"], strict=True)
        return ScoringRequest(
            tuple(
                chats((Message("user", prompt),), tuple(response for _, response in group))
                for prompt, group in groupby(pairs, key=lambda pair: pair[0])
            ),
            timeout=timeout,
            criteria=from_text(self.criteria),
        )


class RewardTensor(BaseModel):
    """The scores; `data` is missing where they follow the JSON in binary.

    `parts` has a row for each element of `rewards` and a column for each criterion, whose names are
    in its parameter `names`.
    """

    name: OutputName = "rewards"
    shape: list[int]
    datatype: Literal["FP32"] = "FP32"
    parameters: dict[str, int | str] | None = None
    data: list[float] | None = None


class InferResponse(BaseModel):
    # `model_name` is a field of the protocol, not one of pydantic's own.
    model_config = ConfigDict(protected_namespaces=())

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[RewardTensor]


class OipError(BaseModel):
    error: str


def oip_error(error: ServiceError, _status: int) -> object:
    """Shape an error as the protocol does."""
    return OipError(error=error.message).model_dump()

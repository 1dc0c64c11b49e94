"""Bodies and answers of the Open Inference Protocol, version 2 (KServe, Triton)."""

import math
from itertools import groupby
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from reward_model.text.chat import Message
from reward_model.text.encoding import Rendered
from service.errors import ServiceError
from service.scoring.types import ScoringRequest, chats
from service.settings import MOST_CANDIDATES


class _Tolerant(BaseModel):
    # `model_name` is the protocol's own field, not one of pydantic's.
    model_config = ConfigDict(strict=True, frozen=True, protected_namespaces=())


InputName = Literal["prompt", "response", "sentences"]
INPUTS: tuple[InputName, ...] = ("prompt", "response", "sentences")

Flat = Annotated[list[str], Field(max_length=MOST_CANDIDATES, fail_fast=True)]
Rows = Annotated[
    list[Annotated[list[str], Field(max_length=1)]],
    Field(max_length=MOST_CANDIDATES, fail_fast=True),
]


def _data_kind(value: object) -> str:
    nested = isinstance(value, list) and bool(value) and isinstance(value[0], list)
    return "<rows>" if nested else "<flat>"


class TextTensor(_Tolerant):
    name: InputName
    shape: list[Annotated[int, Field(ge=1)]] = Field(
        min_length=1, max_length=2, description="`[n]` or `[n, 1]`."
    )
    datatype: Literal["BYTES"]
    data: Annotated[
        Annotated[Flat, Tag("<flat>")] | Annotated[Rows, Tag("<rows>")], Discriminator(_data_kind)
    ]

    @property
    def texts(self) -> list[str]:
        return [text for row in self.data for text in ([row] if isinstance(row, str) else row)]

    @model_validator(mode="after")
    def _fits_its_shape(self) -> Self:
        if self.shape[1:] not in ([], [1]):
            raise ValueError("must have the shape [n] or [n, 1]: an element is a whole text")
        if math.prod(self.shape) != len(self.texts):
            raise ValueError(f"has {len(self.texts)} elements, and a shape for another number")
        return self


class OutputParameters(_Tolerant):
    binary_data: bool | None = None


class OutputAsked(_Tolerant):
    name: Literal["rewards"]
    parameters: OutputParameters | None = None


class Parameters(_Tolerant):
    binary_data_output: bool | None = None


class InferBody(_Tolerant):
    """Either `prompt` and `response`, or `sentences` alone: texts that the sender rendered, whose
    special tokens are tokens."""

    id: str | None = Field(None, description="Comes back with the answer.")
    inputs: list[TextTensor] = Field(min_length=1, max_length=len(INPUTS))
    outputs: Annotated[list[OutputAsked], Field(max_length=1)] | None = None
    parameters: Parameters | None = None

    @model_validator(mode="after")
    def _one_question(self) -> Self:
        if sorted(tensor.name for tensor in self.inputs) not in (
            ["prompt", "response"],
            ["sentences"],
        ):
            raise ValueError("needs the inputs prompt and response, or the input sentences alone")
        if any(tensor.shape != self.shape for tensor in self.inputs):
            raise ValueError("must have prompt and response of one shape")
        return self

    @property
    def shape(self) -> list[int]:
        """Of every input, and of the output."""
        return self.inputs[0].shape

    @property
    def wants_binary(self) -> bool:
        if self.outputs:
            parameters = self.outputs[0].parameters
            return parameters is not None and parameters.binary_data is True
        return self.parameters is not None and self.parameters.binary_data_output is True

    def to_ask(self) -> ScoringRequest:
        texts = {tensor.name: tensor.texts for tensor in self.inputs}
        if "sentences" in texts:
            return ScoringRequest(tuple((Rendered(text),) for text in texts["sentences"]))
        pairs = zip(texts["prompt"], texts["response"], strict=True)
        return ScoringRequest(
            tuple(
                chats((Message("user", prompt),), tuple(response for _, response in group))
                for prompt, group in groupby(pairs, key=lambda pair: pair[0])
            )
        )


class RewardTensor(BaseModel):
    """`data` is missing where it follows the JSON in binary."""

    name: Literal["rewards"] = "rewards"
    shape: list[int]
    datatype: Literal["FP32"] = "FP32"
    parameters: dict[str, int] | None = None
    data: list[float] | None = None


class InferAnswer(_Tolerant):
    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[RewardTensor]


class OipError(BaseModel):
    error: str


def oip_error(error: ServiceError, _: int) -> object:
    return OipError(error=error.message).model_dump()

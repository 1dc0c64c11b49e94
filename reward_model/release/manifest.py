"""Contents of a release's own files: `release.json` and the rows of `golden.jsonl`."""

import hashlib
from datetime import date
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from reward_model.release.calibration import Calibration
from reward_model.text.chat import NO_INPUTS, Message, TemplateInputs


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _members(message: Message) -> dict[str, str]:
    # Turns that are only text look as they always did.
    return {name: text for name, text in message._asdict().items() if text or name != "extra"}


# Written as an object with `role` and `content`; pydantic would write a named tuple as a list.
_JsonMessage = Annotated[Message, PlainSerializer(_members)]


class Golden(_Record):
    """A conversation, which ends on the assistant's answer, and the raw score it must get.

    Attributes:
        inputs: what the chat template sees besides messages; not written where there is nothing.
    """

    messages: Annotated[tuple[_JsonMessage, ...], Field(min_length=1)]
    score: Annotated[float, Field(allow_inf_nan=False)]
    inputs: TemplateInputs = NO_INPUTS

    @model_serializer(mode="wrap")
    def _without_nothing(self, write: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        written: dict[str, JsonValue] = write(self)
        return {k: v for k, v in written.items() if k != "inputs" or self.inputs != NO_INPUTS}


class EncodingFacts(_Record):
    """Facts that must agree for token ids to be those of training: template, tokens, their rules.

    Attributes:
        max_tokens: the longest conversation in tokens, answer included.
        template_date: what a chat template that asks for today's date was told in training.
    """

    chat_template_sha256: str
    bos_token: str | None
    eos_token: str | None
    pad_token: str
    adds_special_tokens: Literal[False] = False
    read_token: Literal["last"] = "last"
    max_tokens: Annotated[int, Field(ge=1)]
    template_date: date | None = None

    @model_serializer(mode="wrap")
    def _without_date(self, write: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        written: dict[str, JsonValue] = write(self)
        # Templates that ask for no date are the rule, and so is a manifest without one: seals of
        # releases hold for the text that was there before there was a date.
        return {name: fact for name, fact in written.items() if fact or name != "template_date"}


CriterionName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$", max_length=100)]

MAX_CRITERIA = 16
"""Criteria of a release. Each that a request asks for scores every candidate once more."""

MAX_WEIGHT = 1e6
"""The largest weight of a score in a sum, which keeps every sum far from infinity."""


class Criterion(_Record):
    """Something that the model can be asked to judge by.

    Attributes:
        prompt: the system prompt that `reward_model.text.criteria` puts before a conversation;
            empty where the name is that of a label of a checkpoint that has several.
        weight: of its score in the sum, unless a request gives another.
        by_default: whether a request that names no criteria is scored by it. Where no criterion is,
            such a request is scored without any prompt.
    """

    prompt: Annotated[str, Field(max_length=10_000)] = ""
    weight: Annotated[float, Field(allow_inf_nan=False, ge=-MAX_WEIGHT, le=MAX_WEIGHT)] = 1.0
    by_default: bool = False


class AdapterBase(_Record):
    """The model that a release which is an adapter changes, named by what its weights are.

    Attributes:
        name: that of the folder in which a reader looks for it.
        weights_sha256: the digest of all its tensors (`reward_model.release.base.digest`), which is
            the same however they are spread over files, and whichever library wrote those.
        source: where to get it: an id of the Hugging Face hub, with `@REVISION` or without, from
            which it is downloaded, or a sentence for people.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=255)]
    weights_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    source: str


_PART = r"\.?[A-Za-z0-9_-][A-Za-z0-9_.-]*"
FileName = Annotated[str, Field(pattern=rf"^{_PART}(/{_PART})*$", max_length=255)]
"""A path below the release directory, relative to it."""


class Manifest(_Record):
    """The contents of `release.json`.

    Attributes:
        files: every other file of the release, with its sha256.
        base: the model that the release's adapter changes; None where it holds whole weights.
        golden_tolerance: largest accepted difference between a golden score and its replay.
        training: how the model was trained; its form is free.
        criteria: what the model can be asked to judge by, by name; not written where it is empty.
        seal: sha256 of this manifest without its seal, because no other file vouches for this one.
    """

    format: Literal["codepmp-release/1"] = "codepmp-release/1"
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    files: dict[FileName, str]
    # None is left out of what is written, so that the seal of a whole release still holds.
    base: AdapterBase | None = Field(None, exclude_if=lambda base: base is None)
    encoding: EncodingFacts
    dtype: Literal["float32", "bfloat16", "float16"]
    calibration: Calibration
    golden_tolerance: Annotated[float, Field(gt=0, le=0.1)]
    training: dict[str, JsonValue]
    # Left out where there are none, so that seals of releases without any still hold.
    criteria: Annotated[dict[CriterionName, Criterion], Field(max_length=MAX_CRITERIA)] = Field(
        {}, exclude_if=lambda criteria: not criteria
    )
    seal: str = ""


def seal_of(manifest: Manifest) -> str:
    """The seal that a manifest must have: sha256 of its JSON with an empty seal."""
    unsealed = manifest.model_copy(update={"seal": ""})
    return hashlib.sha256(unsealed.model_dump_json().encode()).hexdigest()

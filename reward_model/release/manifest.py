"""What a release's own files hold: `release.json` and the rows of `golden.jsonl`."""

import hashlib
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from reward_model.release.calibration import Calibration
from reward_model.text.chat import Conversation, Message


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Turn(_Record):
    role: str
    content: str


class Golden(_Record):
    """A conversation, its last turn the assistant's, and the raw score it must get."""

    messages: Annotated[tuple[Turn, ...], Field(min_length=1)]
    score: Annotated[float, Field(allow_inf_nan=False)]

    @property
    def conversation(self) -> Conversation:
        return tuple(Message(turn.role, turn.content) for turn in self.messages)


class EncodingFacts(_Record):
    """What must agree for ids to be the trainer's: template, tokens, and their rules."""

    chat_template_sha256: str
    bos_token: str | None
    eos_token: str | None
    pad_token: str
    adds_special_tokens: Literal[False] = False
    read_token: Literal["last"] = "last"
    max_tokens: Annotated[int, Field(ge=1)]


_PART = r"\.?[A-Za-z0-9_-][A-Za-z0-9_.-]*"
FileName = Annotated[str, Field(pattern=rf"^{_PART}(/{_PART})*$", max_length=255)]
"""Relative, below the release."""


class Manifest(_Record):
    """`release.json`. `files` maps every other file to its sha256; `training` is free form.

    `seal` is the sha256 of all the rest: the one file that no other vouches for vouches for itself.
    """

    format: Literal["codepmp-release/1"] = "codepmp-release/1"
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    files: dict[FileName, str]
    encoding: EncodingFacts
    dtype: Literal["float32", "bfloat16", "float16"]
    calibration: Calibration
    golden_tolerance: Annotated[float, Field(gt=0, le=0.1)]
    training: dict[str, JsonValue]
    seal: str = ""


def seal_of(manifest: Manifest) -> str:
    unsealed = manifest.model_copy(update={"seal": ""})
    return hashlib.sha256(unsealed.model_dump_json().encode()).hexdigest()

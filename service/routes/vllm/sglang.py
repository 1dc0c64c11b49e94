"""SGLang's `POST /classify`: rendered texts in `text`, and the list of their scores as embeddings.

vLLM has the same path with `input` or `messages`, so this is a part of its dialect.
"""

from typing import Annotated, Self

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from reward_model.text.encoding import Rendered
from service.routes.shared import scoring
from service.routes.shared.body_types import Name, TextOrTexts, either
from service.routes.shared.criteria import names_and_weights, vector
from service.routes.shared.refused import Refused
from service.routes.shared.template_options import TEXT_ONLY, PoolingOptions
from service.routes.vllm.shapes import IdList, IdLists
from service.scoring.types import Item, ScoringRequest, TokenIds
from service.service import Service
from service.telemetry.request_record import record_of


def _ids_kind(value: object) -> str:
    nested = isinstance(value, list) and bool(value) and isinstance(value[0], list)
    return "<id lists>" if nested else "<ids>"


class SglangRequest(PoolingOptions):
    """Each text is rendered; as in SGLang, the tokenizer adds its special tokens to it."""

    model_config = ConfigDict(json_schema_extra=either("text", "input_ids"))

    model: Name | None = Field(None, description="If given, it must be the one that is served.")
    text: TextOrTexts | None = Field(
        None, description="Rendered texts, in which special tokens are tokens."
    )
    input_ids: (
        Annotated[
            Annotated[IdList, Tag("<ids>")] | Annotated[IdLists, Tag("<id lists>")],
            Discriminator(_ids_kind),
        ]
        | None
    ) = Field(None, description="Instead of `text`: token ids.")
    image_data: Annotated[object, Refused(TEXT_ONLY)] = None
    video_data: Annotated[object, Refused(TEXT_ONLY)] = None
    audio_data: Annotated[object, Refused(TEXT_ONLY)] = None
    is_cross_encoder_request: Annotated[
        object, Refused("send pairs to /score or /rerank", (False,))
    ] = None
    dimensions: Annotated[object, Refused("a score has one dimension", (1,))] = None

    @model_validator(mode="after")
    def _require_one_input(self) -> Self:
        if (self.text is None) == (self.input_ids is None):
            raise ValueError("needs either text or input_ids, and not both")
        return self

    @property
    def is_batch(self) -> bool:
        """Whether the input is a list of items. The answer to one item has no list around it."""
        if self.input_ids is not None:
            return isinstance(self.input_ids[0], list)
        return isinstance(self.text, list)

    def to_scoring_request(self) -> ScoringRequest:
        texts = [self.text] if isinstance(self.text, str) else self.text or []
        items: list[Item] = [Rendered(text, add_special_tokens=True) for text in texts]
        ids = [one for one in self.input_ids or () if isinstance(one, int)]
        lists = [ids] if ids else [one for one in self.input_ids or () if isinstance(one, list)]
        items += [TokenIds(tuple(one)) for one in lists]
        return ScoringRequest(
            tuple((item,) for item in items),
            self.scoring_priority,
            criteria=names_and_weights(self.criteria),
        )


class SglangMeta(BaseModel):
    id: str
    prompt_tokens: int
    finish_reason: None = None


class SglangScore(BaseModel):
    embedding: list[float] = Field(
        description="One number, the raw logit; or one for each of the `criteria` asked for."
    )
    meta_info: SglangMeta


async def classify_texts(
    body: SglangRequest, request: Request, service: Service
) -> SglangScore | list[SglangScore]:
    """Answer a body of SGLang's."""
    param = "text" if body.input_ids is None else "input_ids"
    asked = body.to_scoring_request()
    result = await scoring.score(request, service, asked, param=param, model=body.model)
    request_id = record_of(request).request_id
    scoring.raw_scores(result)  # the response has no place for the error of one item
    rows = [
        SglangScore(
            embedding=vector(item, body.criteria),
            meta_info=SglangMeta(id=request_id, prompt_tokens=item.tokens),
        )
        for item in result.items()
    ]
    return rows if body.is_batch else rows[0]

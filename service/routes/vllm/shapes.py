"""Bodies of vLLM's pooling server: texts, token ids, a conversation, or pairs."""

from base64 import b64encode
from struct import pack
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from reward_model.text.chat import NO_INPUTS, Message, TemplateInputs
from reward_model.text.encoding import Rendered
from service.routes.shared.body_types import (
    ChatTurns,
    Name,
    TextOrTexts,
    Texts,
    conversation,
    either,
)
from service.routes.shared.criteria import names_and_weights, vector
from service.routes.shared.refused import Refused
from service.routes.shared.relevance import sigmoid
from service.routes.shared.scoring import raw_scores
from service.routes.shared.template_options import (
    PairOptions,
    PoolingOptions,
    TemplateDocuments,
    TemplateOptions,
    template_inputs,
)
from service.scoring.types import (
    Chat,
    Item,
    OverLength,
    ScoringRequest,
    ScoringResult,
    TokenIds,
    chats,
)
from service.settings import MAX_CANDIDATES

# vLLM's value of `truncate_prompt_tokens` for the model's maximum.
_MODEL_MAXIMUM = -1

# More token ids than any model takes in one text.
_MAX_IDS = 1_048_576

IdList = Annotated[list[int], Field(min_length=1, max_length=_MAX_IDS, fail_fast=True)]
IdLists = Annotated[list[IdList], Field(min_length=1, max_length=MAX_CANDIDATES, fail_fast=True)]


def _input_kind(value: object) -> str:
    if not isinstance(value, list):
        return "<text>"
    first = value[0] if value else ""
    if isinstance(first, list):
        return "<id lists>"
    return "<ids>" if isinstance(first, int) else "<list>"


TextsOrIds = Annotated[
    Annotated[str, Tag("<text>")]
    | Texts
    | Annotated[IdList, Tag("<ids>")]
    | Annotated[IdLists, Tag("<id lists>")],
    Discriminator(_input_kind),
]
"""One item or several, as texts or as token ids."""


def _check_kept_tokens(tokens: int) -> int:
    if tokens < _MODEL_MAXIMUM or tokens == 0:
        raise ValueError("must be at least 1, or -1 for as many as the model takes")
    return tokens


class _VllmOptions(PoolingOptions):
    model: Name | None = Field(None, description="If given, it must be the one that is served.")
    # vLLM applies a sigmoid to one label unless told otherwise. Here the default is the raw logit,
    # because a squashed reward loses the differences that RL needs.
    use_activation: bool | None = Field(
        None, description="true: the sigmoid of the raw logit. Otherwise the raw logit."
    )
    # verl sent this name in January 2026. An alias would not do: a body may have both.
    activation: bool | None = Field(None, description="Older name of `use_activation`.")
    softmax: bool | None = Field(None, description="Oldest name of `use_activation`.")
    normalize: Annotated[object, Refused("send `use_activation`", (False,))] = None
    truncate_prompt_tokens: Annotated[int, AfterValidator(_check_kept_tokens)] | None = Field(
        None,
        description="Keep so many tokens from the end of each item of `input`; -1: as many as the "
        "model takes. By default nothing is cut, and what is too long is refused.",
    )

    def activated(self, result: ScoringResult) -> list[float]:
        """Return the scores, after the activation if it is asked for. Raises as `raw_scores`."""
        scores = raw_scores(result)
        return [sigmoid(score) for score in scores] if self._activates else scores

    def activated_vectors(self, result: ScoringResult) -> list[list[float]]:
        """Return the same as vectors, which have a number for each criterion that is asked for."""
        raw_scores(result)  # the response has no place for the error of one item
        vectors = [vector(item, self.criteria) for item in result.items()]
        if self._activates:
            return [[sigmoid(score) for score in scores] for scores in vectors]
        return vectors

    @property
    def _activates(self) -> bool:
        names = (self.use_activation, self.activation, self.softmax)
        return next((given for given in names if given is not None), False)


class ItemsRequest(TemplateOptions, _VllmOptions):
    """The body of `/classify`, `/pooling` and `/v1/embeddings`."""

    model_config = ConfigDict(json_schema_extra=either("input", "messages"))

    input: TextsOrIds | None = Field(
        None, description="Rendered texts, in which special tokens are tokens; or token ids."
    )
    messages: ChatTurns | None = Field(
        None, description="Instead of `input`: one conversation, up to the answer that is scored."
    )
    add_special_tokens: bool | None = Field(
        None,
        description="Put before and after each text of `input` what the tokenizer would; by "
        "default true. A chat template writes its own: true is refused with `messages`.",
    )
    documents: TemplateDocuments | None = Field(
        None, description="With `messages`: documents that the chat template shows."
    )
    encoding_format: Literal["float", "base64"] | None = None
    embed_dtype: Annotated[object, Refused("scores are float32", ("float32",))] = None
    endianness: Annotated[
        object, Refused("base64 is that of a little-endian number", ("native", "little"))
    ] = None
    dimensions: Annotated[object, Refused("a score has one dimension", (1,))] = None
    task: Annotated[
        object, Refused("this server only scores whole texts", ("classify", "score"))
    ] = None

    @model_validator(mode="after")
    def _require_one_input(self) -> Self:
        if (self.input is None) == (self.messages is None):
            raise ValueError("needs either input or messages, and not both")
        if self.messages is None:
            if self.inputs != NO_INPUTS:
                raise ValueError(
                    "has input, which is rendered already: leave out tools, documents, "
                    "chat_template_kwargs and add_generation_prompt, or send messages"
                )
        else:
            if self.messages[-1].role != "assistant":
                raise ValueError("must end messages on the assistant, whose answer is scored")
            if self.add_special_tokens or self.truncate_prompt_tokens is not None:
                raise ValueError(
                    "has messages, which the chat template renders whole: leave out "
                    "add_special_tokens and truncate_prompt_tokens, or send input"
                )
        return self

    @property
    def inputs(self) -> TemplateInputs:
        return template_inputs(
            self.tools,
            self.chat_template_kwargs,
            documents=self.documents,
            add_generation_prompt=self.add_generation_prompt,
        )

    def to_scoring_request(self, max_tokens: int) -> ScoringRequest:
        kept = self.truncate_prompt_tokens
        # A text that shall be cut may be longer than one that would be refused unread.
        over_length: OverLength = "error" if kept is None else "truncate_prompt"
        if kept == _MODEL_MAXIMUM:
            kept = max_tokens
        items: list[Item] = []
        if self.messages:
            items.append(Chat.of(conversation(self.messages), self.inputs))
        else:
            for entry in _as_list(self.input):
                if isinstance(entry, str):
                    items.append(Rendered(entry, self.add_special_tokens is not False, kept))
                else:
                    items.append(TokenIds(tuple(entry if kept is None else entry[-kept:])))
        return ScoringRequest(
            tuple((item,) for item in items),
            self.scoring_priority,
            over_length=over_length,
            criteria=names_and_weights(self.criteria),
        )

    def encoded(self, scores: list[float]) -> list[float] | str:
        """Return a vector in the encoding that is asked for."""
        # OpenAI's SDK asks for base64 unless its user chooses a format, and decodes it itself.
        if self.encoding_format == "base64":
            return b64encode(pack(f"<{len(scores)}f", *scores)).decode()
        return scores


def _as_list(
    entries: str | list[str] | list[int] | list[list[int]] | None,
) -> list[str | list[int]]:
    if isinstance(entries, str):
        return [entries]
    # A flat list of numbers is one item, and every other list holds the items.
    ids = [entry for entry in entries or () if isinstance(entry, int)]
    return [ids] if ids else [entry for entry in entries or () if not isinstance(entry, int)]


class PairsRequest(PairOptions, _VllmOptions):
    """The body of `/score`: each document is scored as the assistant's answer to its query."""

    queries: TextOrTexts = Field(
        validation_alias=AliasChoices("queries", "text_1", "data_1"),
        description="One for all documents, or one for each. Also `text_1` or `data_1`.",
    )
    documents: TextOrTexts = Field(
        validation_alias=AliasChoices("documents", "text_2", "items", "data_2"),
        description="Also `text_2`, `items` or `data_2`.",
    )

    @property
    def query_list(self) -> list[str]:
        return [self.queries] if isinstance(self.queries, str) else self.queries

    @property
    def document_list(self) -> list[str]:
        return [self.documents] if isinstance(self.documents, str) else self.documents

    @model_validator(mode="after")
    def _require_pairs(self) -> Self:
        queries, documents = len(self.query_list), len(self.document_list)
        if queries not in (1, documents):
            raise ValueError(
                f"has {queries} queries and {documents} documents: send one query, or as many"
            )
        if self.truncate_prompt_tokens is not None:
            raise ValueError(
                "has truncate_prompt_tokens, and pairs are never cut: leave it out, or send the "
                "rendered texts to /classify"
            )
        return self

    def to_scoring_request(self) -> ScoringRequest:
        # vLLM joins query and document without the chat template, which would be no conversation
        # for a model that was trained on chats.
        prompts = [(Message("user", query),) for query in self.query_list]
        documents, inputs = tuple(self.document_list), self.inputs
        if len(prompts) == 1:
            # In one group the documents share their query, which is then computed once.
            groups = [chats(prompts[0], documents, inputs=inputs)]
        else:
            pairs = zip(prompts, documents, strict=True)
            groups = [chats(prompt, (document,), inputs=inputs) for prompt, document in pairs]
        criteria = names_and_weights(self.criteria)
        return ScoringRequest(tuple(groups), self.scoring_priority, criteria=criteria)


class TokenizeRequest(TemplateOptions):
    """The text to tokenize as it would be scored: a conversation has no generation prompt."""

    model: Name | None = None
    prompt: str | None = None
    messages: ChatTurns | None = None
    add_special_tokens: bool | None = None
    return_token_strs: Annotated[object, Refused("the ids are all there is", (False,))] = None

    @model_validator(mode="after")
    def _require_one_input(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("needs either prompt or messages, and not both")
        if self.messages and self.add_special_tokens:
            raise ValueError(
                "has messages, whose special tokens the chat template writes: leave out "
                "add_special_tokens, or send prompt"
            )
        return self

    def to_item(self) -> Item:
        if self.messages:
            inputs = template_inputs(
                self.tools,
                self.chat_template_kwargs,
                add_generation_prompt=self.add_generation_prompt,
            )
            return Chat.of(conversation(self.messages), inputs)
        return Rendered(self.prompt or "", self.add_special_tokens is not False)

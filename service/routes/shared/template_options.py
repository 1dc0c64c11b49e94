"""Options of a request that reach the chat template besides the turns, or are refused."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue

from reward_model.text.chat import TemplateInputs
from service.errors import ItemRefused
from service.routes.shared.body_types import Tolerant, to_json
from service.routes.shared.criteria import CRITERIA, AskedCriteria
from service.routes.shared.refused import Refused
from service.scoring.types import ScoringResult

Tools = Annotated[list[dict[str, JsonValue]], Field(max_length=1000, fail_fast=True)]
TemplateDocuments = Annotated[list[dict[str, JsonValue]], Field(max_length=1000, fail_fast=True)]


def _check_tools(variables: dict[str, JsonValue]) -> dict[str, JsonValue]:
    tools = variables.get("tools")
    if tools is not None and not (
        isinstance(tools, list) and all(isinstance(tool, dict) for tool in tools)
    ):
        raise ValueError("has tools that are no list of objects")
    return variables


TemplateKwargs = Annotated[
    dict[str, JsonValue], Field(max_length=1000), AfterValidator(_check_tools)
]

TEXT_ONLY = "this server scores text alone"


def template_inputs(
    tools: Tools | None,
    kwargs: TemplateKwargs | None,
    *,
    documents: TemplateDocuments | None = None,
    add_generation_prompt: bool | None = None,
) -> TemplateInputs:
    """Return what the template sees besides the turns, as the encoder takes it."""
    # transformers knows `tools` as an argument of its own, vLLM's clients also as a variable.
    variables = dict(kwargs or {})
    listed = variables.pop("tools", None)
    if documents is not None:
        variables["documents"] = [*documents]
    return TemplateInputs(
        tools=to_json([*tools] if tools else listed),
        kwargs=to_json(variables),
        add_generation_prompt=add_generation_prompt is True,
    )


class TemplateOptions(Tolerant):
    """Options of vLLM's routes that take a conversation."""

    tools: Tools | None = Field(None, description="Tools that the chat template shows.")
    chat_template_kwargs: TemplateKwargs | None = Field(
        None, description="Further variables of the chat template."
    )
    add_generation_prompt: bool | None = Field(
        None, description="true: the template also opens a turn after the last one."
    )
    continue_final_message: Annotated[
        object,
        Refused("the answer that is scored is a whole turn, which the template ends", (False,)),
    ] = None
    # vLLM refuses it as well, unless it was started with --trust-request-chat-template.
    chat_template: Annotated[
        object,
        Refused(
            "a template is a program, and only the operator's is run (--chat-template); send "
            "`input` that you rendered yourself"
        ),
    ] = None
    media_io_kwargs: Annotated[object, Refused(TEXT_ONLY, ({},))] = None


class PoolingOptions(Tolerant):
    """Options of all of vLLM's routes that score; Cohere's, Jina's and SGLang's are among them."""

    priority: int | None = Field(None, description="Above 0, it runs when no other work waits.")
    truncation_side: Annotated[
        object, Refused("this server keeps the end of a text, where its score is read", ("left",))
    ] = None
    padding: Annotated[object, Refused("scores do not depend on padding", ("do_not_pad",))] = None
    mm_processor_kwargs: Annotated[object, Refused(TEXT_ONLY, ({},))] = None
    cache_salt: Annotated[
        object,
        Refused("scores are kept for all clients alike (--result-cache-bytes 0 keeps none)"),
    ] = None
    lora_path: Annotated[
        object, Refused("an adapter is loaded as a model of its own, which `model` names")
    ] = None
    criteria: AskedCriteria | None = CRITERIA

    @property
    def scoring_priority(self) -> Literal["interactive", "bulk"]:
        return "bulk" if self.priority is not None and self.priority > 0 else "interactive"


class PairOptions(PoolingOptions):
    """Options of the routes that score documents for queries."""

    chat_template_kwargs: TemplateKwargs | None = Field(
        None, description="Further variables of the chat template."
    )
    instruction: str | None = Field(
        None, description="Short for the variable `instruction` of the chat template."
    )
    instruct: Annotated[object, Refused("send it as `instruction`")] = None
    # SGLang's `/v1/score` and vLLM's generative scores have it.
    label_token_ids: Annotated[
        object,
        Refused(
            "a reward model has a score and no probabilities of next tokens; send `queries` and "
            "`documents` without it"
        ),
    ] = None
    max_tokens_per_query: int | None = Field(None, ge=0, description="As for documents.")
    max_tokens_per_doc: int | None = Field(
        None,
        ge=0,
        description="Nothing is cut: a request with a longer pair of query and document is "
        "refused. 0: no limit.",
    )

    @property
    def inputs(self) -> TemplateInputs:
        kwargs = dict(self.chat_template_kwargs or {})
        if self.instruction is not None:
            kwargs.setdefault("instruction", self.instruction)
        return template_inputs(None, kwargs)

    def require_uncut(self, result: ScoringResult) -> None:
        """Refuse a result that would be another one if documents or queries were cut.

        Raises:
            ItemRefused: a pair may be longer than one of its parts should be.
        """
        limits = {
            "max_tokens_per_query": self.max_tokens_per_query,
            "max_tokens_per_doc": self.max_tokens_per_doc,
        }
        for field, limit in limits.items():
            for index, item in enumerate(result.items()):
                # The whole conversation is no shorter than the part that the limit is for.
                if limit and item.tokens > limit:
                    raise ItemRefused(
                        f"item {index} has {item.tokens} tokens with its query, and this server "
                        f"does not cut it to {field}: leave that out, or shorten the text",
                        param=field,
                    )

"""Checks of model and tokenizer: what makes a loss stand still, or scores differ elsewhere."""

from dataclasses import dataclass
from typing import Protocol

from reward_model.packing import shared_prefix
from reward_model.text.chat import PromptingTokenizer, Unencodable, render, render_request
from reward_model.text.encoding import Encoder, Rendered, TooLong
from trainer.pairs.row import PreferenceRow, conversation
from trainer.preferences.doctor.findings import Finding

_MOST_RENDERED = 200
"""Rows whose template is looked at; it is the same template for all."""


class Tokenizer(PromptingTokenizer, Protocol):
    """What the checks need of a transformers tokenizer."""

    @property
    def pad_token_id(self) -> int | None: ...

    @property
    def eos_token_id(self) -> int | None: ...

    @property
    def bos_token_id(self) -> int | None: ...


@dataclass(frozen=True)
class ModelFacts:
    """What the checks need to know of the model, so that they need none of its libraries.

    Attributes:
        head_trainable: whether all of the score head's weights are among those that are trained.
        pad_id: `pad_token_id` of the model's config, by which others find the token they read.
    """

    tokenizer: Tokenizer
    head_trainable: bool
    pad_id: int | None = None


def examine_model(rows: list[PreferenceRow], encoder: Encoder, facts: ModelFacts) -> list[Finding]:
    """Each check once; `rows` are those whose texts the template is tried on."""
    sample = rows[:: max(1, len(rows) // _MOST_RENDERED)]
    return [
        _head(facts),
        _pad(facts),
        _bos(sample, encoder, facts),
        *_template(sample, encoder, facts.tokenizer),
    ]


def _head(facts: ModelFacts) -> Finding:
    if facts.head_trainable:
        return Finding("score head", "fine", "trainable")
    return Finding(
        "score head",
        "fatal",
        "its weights are not trained, so the loss cannot fall far: with LoRA, name it in "
        "modules_to_save",
    )


def _pad(facts: ModelFacts) -> Finding:
    """The score is read at the last token that is no pad: an EOS that is one is never read."""
    pad, eos = facts.tokenizer.pad_token_id, facts.tokenizer.eos_token_id
    if pad is None:
        return Finding("pad token", "fatal", "there is none: give the tokenizer one of its own")
    if eos in (pad, facts.pad_id):
        return Finding(
            "pad token",
            "fatal",
            "it is the end-of-text token, where scores are read: give the tokenizer another one, "
            "and name it in the model's config",
        )
    if facts.pad_id not in (None, pad):
        return Finding(
            "pad token",
            "warning",
            f"id {pad} in the tokenizer and {facts.pad_id} in the model's config: make them one",
        )
    return Finding("pad token", "fine", f"id {pad}, apart from the end of text")


def _bos(sample: list[PreferenceRow], encoder: Encoder, facts: ModelFacts) -> Finding:
    bos = facts.tokenizer.bos_token_id
    ids = next((ids for row in sample if (ids := _ids(row, encoder))), ())
    if bos is None or not ids:
        return Finding("BOS", "fine", "the tokenizer has none" if bos is None else "nothing to see")
    adds = bos in facts.tokenizer.backend_tokenizer.encode("x").ids
    if ids[:2] == (bos, bos):
        return Finding("BOS", "fatal", "the template writes it twice: take one out")
    if ids[0] == bos and adds:
        return Finding(
            "BOS",
            "warning",
            "the template writes it and the tokenizer adds another to rendered text. Training and "
            "service add none; whoever tokenises rendered text elsewhere gets two: let the "
            "tokenizer not add it",
        )
    if ids[0] != bos and adds:
        return Finding(
            "BOS",
            "warning",
            "the tokenizer adds it and the template does not write it, so the model sees none: "
            "write it in the template if its base was trained with one",
        )
    return Finding("BOS", "fine", "once" if ids[0] == bos else "not used")


def _template(sample: list[PreferenceRow], encoder: Encoder, tokenizer: Tokenizer) -> list[Finding]:
    """Whether answers follow their prompts, as text and as ids, and stay as they are."""
    odd: dict[str, list[str]] = {check: [] for check in _TEMPLATE}
    for row in sample:
        try:
            request = render_request(tokenizer, conversation(row.prompt, "")[:-1])
            whole = render(tokenizer, conversation(row.prompt, row.chosen))
            before = encoder.encode_rendered(Rendered(request)).ids
            after = encoder.encode_rendered(Rendered(whole)).ids
        except (Unencodable, TooLong):
            continue  # counted for all rows among the lengths
        if not whole.startswith(request):
            odd["generation prompt"].append(row.id)
        elif shared_prefix(before, after) < len(before):
            odd["prompt's tokens"].append(row.id)
        if row.chosen.strip() not in whole:
            odd["answers rendered"].append(row.id)
    return [_stability(check, ids, len(sample)) for check, ids in odd.items()]


_TEMPLATE = {
    "generation prompt": "prompt and answer together do not begin as the prompt alone does, with "
    "what asks for an answer: texts sampled with this template are scored as other texts",
    "prompt's tokens": "the prompt's last tokens are others once an answer follows: steps and "
    "losses by token begin a little early there",
    "answers rendered": "the template changes answers (some drop the reasoning): what it leaves "
    "is all that is trained on",
}
"""Checks of the template, and what it means when they fail."""


def _stability(check: str, odd: list[str], tried: int) -> Finding:
    if not odd:
        return Finding(check, "fine", f"stable in {tried} rows tried")
    message = f"in {len(odd)} of {tried} rows tried {_TEMPLATE[check]}"
    return Finding(check, "warning", message, len(odd), odd[0])


def _ids(row: PreferenceRow, encoder: Encoder) -> tuple[int, ...]:
    """No ids for a row that cannot be encoded, which the lengths count."""
    try:
        return encoder.encode(conversation(row.prompt, row.chosen)).ids
    except (Unencodable, TooLong):
        return ()

"""Checks of model and tokenizer, whose faults keep a loss from falling or change scores."""

from dataclasses import dataclass, replace
from typing import Protocol

from reward_model.packing import shared_prefix
from reward_model.text.chat import ChatTokenizer, render
from reward_model.text.encoding import Encoder, Rendered
from trainer.pairs.encoded import EncodedRow
from trainer.pairs.row import PreferenceRow, conversation, turns
from trainer.preferences.doctor.findings import Finding

# Rows on which the template is tried; a sample will do, because it is the same for all rows.
MAX_RENDERED = 200


class Tokenizer(ChatTokenizer, Protocol):
    """The part of a transformers tokenizer that the checks need."""

    @property
    def pad_token_id(self) -> int | None: ...

    @property
    def eos_token_id(self) -> int | None: ...

    @property
    def bos_token_id(self) -> int | None: ...


@dataclass(frozen=True)
class ModelFacts:
    """The facts about a model that the checks need, so that they import none of its libraries.

    Attributes:
        head_trainable: whether all of the score head's weights are among those that are trained.
        pad_id: `pad_token_id` of the model's config, by which others find the token they read.
        templates: names of the tokenizer's chat templates, if it had several.
    """

    tokenizer: Tokenizer
    head_trainable: bool
    pad_id: int | None = None
    templates: tuple[str, ...] = ()


def score_head(facts: ModelFacts) -> Finding:
    if facts.head_trainable:
        return Finding("score head", "fine", "trainable")
    return Finding(
        "score head",
        "fatal",
        "its weights are not trained, so the loss cannot fall far: with LoRA, name it in "
        "modules_to_save",
    )


def pad_token(facts: ModelFacts) -> Finding:
    pad, eos = facts.tokenizer.pad_token_id, facts.tokenizer.eos_token_id
    if pad is None:
        return Finding("pad token", "fatal", "there is none: give the tokenizer one of its own")
    # transformers reads the score at the last token that is no pad, and would skip such an EOS.
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


def bos_token(rows: list[EncodedRow], facts: ModelFacts) -> Finding:
    bos = facts.tokenizer.bos_token_id
    ids = next((tuple(row.chosen.ids[:2]) for row in rows if row.chosen.fits), ())
    if bos is None or not ids:
        return Finding("BOS", "fine", "the tokenizer has none" if bos is None else "nothing to see")
    # The trainer and the service encode rendered text without adding tokens; other programs add
    # what the tokenizer says.
    adds = bos in facts.tokenizer.backend_tokenizer.encode("x").ids
    if ids == (bos, bos):
        return Finding("BOS", "fatal", "the template writes it twice: take one out")
    if ids[0] == bos and adds:
        return Finding(
            "BOS",
            "warning",
            "the template writes it and the tokenizer adds another to rendered text. Training and "
            "service add none; a program that tokenises rendered text elsewhere gets two: let the "
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


def clock(encoder: Encoder) -> Finding:
    """Whether the template asks for the date, on which its tokens and so its scores depend."""
    if (day := encoder.template_date) is None:
        return Finding("clock", "fine", "the template asks for no date")
    return Finding(
        "clock",
        "warning",
        f"the template asks for today's date: training and service always tell it {day:%Y-%m-%d}, "
        "which the release keeps; a program that tells it the day's own gives other tokens",
    )


def template(
    rows: list[PreferenceRow], encoded: list[EncodedRow], encoder: Encoder, tokenizer: Tokenizer
) -> list[Finding]:
    """Whether answers follow their prompts, as text and as ids, and are rendered unchanged."""
    every = max(1, len(rows) // MAX_RENDERED)
    sample = list(zip(rows, encoded, strict=True))[::every]
    odd: dict[str, list[str]] = {check: [] for check in _TEMPLATE_CHECKS}
    for row, ids in sample:
        if not ids.chosen.fits:
            continue  # refused and over-long rows are counted by the checks of lengths
        prompting = replace(row.inputs, add_generation_prompt=True)
        talk = conversation(row.prompt, row.chosen, row.chosen_turns)
        request = render(tokenizer, turns(row.prompt), prompting)
        whole = render(tokenizer, talk, row.inputs)
        # Encoded as rendered text, special tokens that a user wrote are the same in both.
        before = encoder.encode_rendered(Rendered(request)).ids
        after = encoder.encode_rendered(Rendered(whole)).ids
        if not whole.startswith(request):
            odd["generation prompt"].append(row.id)
        elif shared_prefix(before, after) < len(before):
            odd["prompt's tokens"].append(row.id)
        # An answer of several turns is not compared as one text.
        if any(message.content.strip() not in whole for message in talk[len(turns(row.prompt)) :]):
            odd["answers rendered"].append(row.id)
    findings = []
    for check, found in odd.items():
        if found:
            message = f"in {len(found)} of {len(sample)} rows tried {_TEMPLATE_CHECKS[check]}"
            findings.append(Finding(check, "warning", message, len(found), found[0]))
        else:
            findings.append(Finding(check, "fine", f"stable in {len(sample)} rows tried"))
    return findings


# Checks of the template, and what it means when they fail.
_TEMPLATE_CHECKS = {
    "generation prompt": "prompt and answer together do not begin as the prompt alone does, with "
    "what asks for an answer: texts sampled with this template are scored as other texts",
    "prompt's tokens": "the prompt's last tokens are others once an answer follows: steps and "
    "losses by token begin a little early there",
    "answers rendered": "the template changes answers (some drop the reasoning): what it leaves "
    "is all that is trained on",
}

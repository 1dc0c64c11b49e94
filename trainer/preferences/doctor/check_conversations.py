"""Checks of conversations: control tokens in texts, and what the template leaves out of them."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from reward_model.text.chat import (
    NO_INPUTS,
    Conversation,
    Message,
    TemplateInputs,
    Unencodable,
    render,
)
from trainer.pairs.row import PreferenceRow, conversation
from trainer.preferences.doctor.check_model import MAX_RENDERED, ModelFacts, Tokenizer
from trainer.preferences.doctor.findings import Finding
from trainer.preferences.formats.plain import not_plain

# Members of a turn that are there to be read, each under the name that its kind is told by.
_READ = {
    "tool_calls": "tool calls",
    "function_call": "tool calls",
    "reasoning_content": "reasoning",
    "reasoning": "reasoning",
    "thinking": "reasoning",
}


def chat_templates(facts: ModelFacts) -> Finding:
    """Whether the tokenizer had one template; others pick one of several by what a row holds."""
    if len(facts.templates) < 2:
        return Finding("chat template", "fine", "the tokenizer's own")
    return Finding(
        "chat template",
        "warning",
        f"the tokenizer has {', '.join(facts.templates)}, and default is used for every text: "
        "where another one should be, save the tokenizer with that one alone",
    )


def control_tokens(rows: list[PreferenceRow], tokenizer: Tokenizer) -> Finding:
    """Texts in which a template was already applied, or messages were written as text."""
    added = tokenizer.backend_tokenizer.get_added_tokens_decoder().items()
    special = {token.content for _, token in added if token.special}
    try:
        # Tokens around a user's turn; a tag of reasoning is none of them.
        own = render(tokenizer, (Message("user", "x"),))
    except Unencodable:
        own = ""
    turn_tokens = [token for token in special if token in own]
    eos = tokenizer.eos_token_id
    turn_tokens += [token.content for id_, token in added if id_ == eos]
    found = []
    for row in rows:
        texts = [
            message.content
            for answer, answer_turns in (
                (row.chosen, row.chosen_turns),
                *((rival.text, rival.turns) for rival in row.rejected),
            )
            for message in conversation(row.prompt, answer, answer_turns)
            # What a tool returns may be anything.
            if message.role != "tool"
        ]
        if any(not_plain(text) or any(token in text for token in turn_tokens) for text in texts):
            found.append(row.id)
    if not found:
        return Finding("control tokens", "fine", "no text holds a template's tokens")
    return Finding(
        "control tokens",
        # A few may be about such tokens; all of them have been rendered.
        "fatal" if len(found) == len(rows) else "warning",
        f"texts of {len(found)} of {len(rows)} rows hold tokens of a chat template, or messages "
        "written as text, and are encoded as letters: give the messages, or the texts without the "
        "template",
        len(found),
        found[0],
    )


def left_out(rows: list[PreferenceRow], tokenizer: Tokenizer) -> Finding:
    """Whether the template renders tools, variables, calls and reasoning where rows have them."""
    having = [row for row in rows if any(_kinds(row))]
    sample = having[:: max(1, len(having) // MAX_RENDERED)]
    ignored: Counter[str] = Counter()
    first = ""
    for row in sample:
        talk = conversation(row.prompt, row.chosen, row.chosen_turns)
        for kind in dict.fromkeys(_kinds(row)):
            try:
                same = render(tokenizer, talk, row.inputs) == render(
                    tokenizer, *_without(kind, talk, row.inputs)
                )
            except Unencodable:
                continue  # the template needs it, or its refusal is counted by another check
            ignored[kind] += same
            first = first or row.id * same
    if not +ignored:
        return Finding("left out", "fine", f"the template renders all of {len(sample)} rows tried")
    kinds = ", ".join(f"{kind} in {count}" for kind, count in (+ignored).items())
    return Finding(
        "left out",
        "warning",
        f"of {len(sample)} rows tried the template renders nothing of {kinds}: what it leaves out "
        "is not trained on; take a template that knows them",
        sum(ignored.values()),
        first,
    )


def _kinds(row: PreferenceRow) -> Iterator[str]:
    """Name the kinds of what a template is given beside roles and contents of the chosen answer."""
    if row.inputs.tools:
        yield "tools"
    if row.inputs.kwargs:
        yield "chat_template_kwargs"
    for message in conversation(row.prompt, row.chosen, row.chosen_turns):
        extra = json.loads(message.extra) if message.extra else {}
        yield from (kind for key, kind in _READ.items() if extra.get(key))


def _without(
    kind: str, talk: Conversation, inputs: TemplateInputs
) -> tuple[Conversation, TemplateInputs]:
    """The same without what `_kinds` calls by this name."""
    if kind == "tools":
        return talk, replace(inputs, tools=NO_INPUTS.tools)
    if kind == "chat_template_kwargs":
        return talk, replace(inputs, kwargs=NO_INPUTS.kwargs)
    gone = {key for key, name in _READ.items() if name == kind}

    def bare(message: Message) -> Message:
        extra = json.loads(message.extra) if message.extra else {}
        kept = {key: value for key, value in extra.items() if key not in gone}
        return message._replace(extra=json.dumps(kept) if kept else "")

    return tuple(map(bare, talk)), inputs

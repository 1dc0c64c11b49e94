"""Puts a criterion's prompt before a conversation, in training as in serving.

A criterion says in a system prompt what the model is to judge: whether an answer is correct, say,
or whether it reads well.
"""

import json

from reward_model.text.chat import ChatTokenizer, Conversation, Message, Unencodable, render

# A text that stands in no template, so that it is found in what one renders.
_MARK = "criterion-7f3a91"


def with_criterion(conversation: Conversation, prompt: str) -> Conversation:
    """Return the conversation with a criterion's prompt before it, in its first, system turn.

    A conversation that begins with a system turn keeps it: the prompt comes first in that turn,
    then an empty line, then what the turn said. Two system turns would be refused by most chat
    templates, and the prompt first lets all conversations of a criterion share it as a prefix.
    """
    if not conversation or conversation[0].role != "system":
        return (Message("system", prompt), *conversation)
    first, *rest = conversation
    content = f"{prompt}\n\n{first.content}" if first.content else prompt
    extra = first.extra
    if not first.content and extra:
        # A turn whose content is null has a content now.
        members = {name: value for name, value in json.loads(extra).items() if name != "content"}
        extra = json.dumps(members, ensure_ascii=False) if members else ""
    return (Message("system", content, extra), *rest)


def require_system_turns(tokenizer: ChatTokenizer) -> None:
    """Refuse a tokenizer whose chat template does not show a criterion's prompt to the model.

    Call it once before criteria are used: a template that leaves system turns out without a word
    would give all criteria the same score.

    Raises:
        Unencodable: the template refuses system turns or leaves them out, or there is none.
    """
    probe = (Message("user", "x"), Message("assistant", "x"))
    try:
        if _MARK in render(tokenizer, with_criterion(probe, _MARK)):
            return
        reason = "leaves system turns out"
    except Unencodable as error:
        reason = f"refuses system turns ({error})"
    raise Unencodable(
        f"its chat template {reason}, and a criterion's prompt is one: train and serve without "
        "criteria, or with a chat template that has system turns"
    )

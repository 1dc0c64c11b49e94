"""Conversations in preference data, as lists of messages."""

from reward_model.text.chat import Conversation, Message
from trainer.pairs.row import Request
from trainer.tables.record import Unusable, record_of, text_of


def messages_of(value: object, column: str) -> Conversation:
    """Messages from a list of `{"role", "content"}` whose contents are text."""
    if not isinstance(value, list) or not value:
        raise Unusable(f"{column} is neither text nor messages")
    turns = [record_of(each, f"a message of {column}") for each in value]
    return tuple(Message(text_of(turn, "role"), text_of(turn, "content")) for turn in turns)


def turns_of(prompt: object, column: str) -> Conversation:
    """Messages of a prompt, which may also be a user's text."""
    if isinstance(prompt, str):
        return (Message("user", prompt),)
    return messages_of(prompt, column)


def request_of(turns: Conversation) -> Request:
    """All turns; a single message of a user is plain text, as everywhere in the trainer."""
    if not turns or turns[-1].role == "assistant":
        raise Unusable("no question before the answer")
    if not turns[-1].content.strip():
        raise Unusable("the prompt is empty")
    return turns[0].content if len(turns) == 1 and turns[0].role == "user" else turns


def parted(chosen: Conversation, rejected: Conversation) -> tuple[Request, str, str]:
    """Two whole conversations -> the request that both have, and their last answers."""
    if {chosen[-1].role, rejected[-1].role} != {"assistant"}:
        raise Unusable("the last turn is not the assistant's")
    if chosen[:-1] != rejected[:-1]:
        raise Unusable("the conversations differ before their last turn")
    return request_of(chosen[:-1]), chosen[-1].content, rejected[-1].content

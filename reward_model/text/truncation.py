"""A conversation that is too long, cut to fit: in the middle of its prompt, never in its answer."""

from reward_model.text.chat import Conversation, Message
from reward_model.text.encoding import Encoder, TooLong


def shortened(encoder: Encoder, conversation: Conversation) -> tuple[Conversation, int]:
    """The conversation, and how many tokens were dropped so that the model takes it.

    What is dropped is the middle of the longest message before the answer, and of the next longest
    when that one is used up: a task's statement begins and ends with what matters most. The answer
    and what the template writes stay as they are.

    Raises:
        TooLong: the answer leaves no room for a prompt.
        Unencodable: the template refuses what is left.
    """
    tokens = left = encoder.count(conversation)
    while left > encoder.max_tokens:
        index = max(
            range(len(conversation) - 1), key=lambda i: len(conversation[i].content), default=0
        )
        if index == len(conversation) - 1 or not conversation[index].content:
            raise TooLong(tokens, encoder.max_tokens)
        content = _without_middle(encoder, conversation[index].content, left - encoder.max_tokens)
        shorter = Message(conversation[index].role, content)
        conversation = (*conversation[:index], shorter, *conversation[index + 1 :])
        left = encoder.count(conversation)
    return conversation, tokens - left


def _without_middle(encoder: Encoder, content: str, excess: int) -> str:
    """Without so many tokens; at least one character goes, so that cutting comes to an end."""
    spans = encoder.token_spans(content)
    if len(spans) <= excess:
        return ""
    first = (len(spans) - excess) // 2
    start, end = spans[first][0], spans[first + excess - 1][1]
    return content[:start] + content[max(end, start + 1) :]

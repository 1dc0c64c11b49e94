"""Cuts a conversation that is too long: in the middle of its prompt, never in its answer."""

from reward_model.text.chat import NO_INPUTS, Conversation, TemplateInputs
from reward_model.text.encoding import Encoder, TooLong


def truncated(
    encoder: Encoder, conversation: Conversation, inputs: TemplateInputs = NO_INPUTS
) -> tuple[Conversation, int]:
    """Return a conversation that fits the model, and the number of tokens that were dropped.

    The middle of the longest message before the answer is dropped, and then of the next longest.
    The answer and what the template writes stay as they are.

    Raises:
        TooLong: the answer leaves no room for a prompt.
        Unencodable: the template refuses what is left.
    """
    tokens = left = encoder.count(conversation, inputs)
    # Joining what is left may give other tokens than were counted, so it takes several rounds.
    while left > encoder.max_tokens:
        index = max(
            range(len(conversation) - 1), key=lambda i: len(conversation[i].content), default=0
        )
        if index == len(conversation) - 1 or not conversation[index].content:
            raise TooLong(tokens, encoder.max_tokens)
        content = conversation[index].content
        spans = encoder.token_spans(content)
        excess = left - encoder.max_tokens
        if len(spans) <= excess:
            content = ""
        else:
            # A task's statement begins and ends with what matters most.
            first = (len(spans) - excess) // 2
            start, end = spans[first][0], spans[first + excess - 1][1]
            # At least one character goes in every round, or the loop might not end.
            content = content[:start] + content[max(end, start + 1) :]
        cut = conversation[index]._replace(content=content)
        conversation = (*conversation[:index], cut, *conversation[index + 1 :])
        left = encoder.count(conversation, inputs)
    return conversation, tokens - left

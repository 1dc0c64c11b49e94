"""Encodes a prompt and its answer as the tokenizer's own pair, which cross-encoders are trained on.

The tokenizer's post-processor writes the separators and knows which token belongs to which text.
"""

from tokenizers import Encoding

from reward_model.packing import Sequence
from reward_model.text.chat import (
    NO_INPUTS,
    ChatTokenizer,
    Conversation,
    TemplateInputs,
    Unencodable,
)
from reward_model.text.encoding import Encoder


class PairEncoder(Encoder):
    """An encoder of pairs: one user turn and the answer to it. Other conversations are no pairs.

    Args:
        token_types: whether the model is fed with the segment of each token.
    """

    def __init__(
        self,
        tokenizer: ChatTokenizer,
        *,
        max_tokens: int,
        pad_id: int | None,
        embeddings: int | None = None,
        token_types: bool,
    ) -> None:
        super().__init__(tokenizer, max_tokens=max_tokens, pad_id=pad_id, embeddings=embeddings)
        self._token_types = token_types

    def encode(
        self,
        conversation: Conversation,
        step_ends: tuple[int, ...] = (),
        inputs: TemplateInputs = NO_INPUTS,
    ) -> Sequence:
        """Encode a pair, as `tokenizer(prompt, answer)` does.

        Raises:
            TooLong: more than `max_tokens` ids.
            Unencodable: the conversation is no pair, or steps of its answer are to be read.
        """
        if step_ends:
            raise Unencodable("a pair has one score for a whole text, none for its steps")
        pair = self._encode_pair(conversation, inputs)
        sequence = self.checked(pair.ids)
        types = tuple(pair.type_ids) if self._token_types else ()
        return Sequence(sequence.ids, (len(sequence.ids) - 1,), types)

    def _encode_pair(self, conversation: Conversation, inputs: TemplateInputs) -> Encoding:
        roles = [message.role for message in conversation]
        plain = inputs == NO_INPUTS and not any(message.extra for message in conversation)
        if roles != ["user", "assistant"] or not plain:
            raise Unencodable(
                "this model reads pairs of one prompt and one answer, and this conversation is "
                "none: send one user turn and its candidate"
            )
        prompt, answer = (message.content for message in conversation)
        pair = self._literal.encode_pair(prompt, answer)
        written = zip(pair.ids, pair.special_tokens_mask, strict=True)
        if any(id_ in self._control_ids and not by_tokenizer for id_, by_tokenizer in written):
            raise Unencodable("the text spells a special token that this tokenizer cannot escape")
        return pair

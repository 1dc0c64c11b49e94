"""Encodes a prompt and its answer as the tokenizer's own pair, which cross-encoders are trained on.

The tokenizer's post-processor writes the separators and knows which token belongs to which text.
"""

import json
from collections.abc import Iterable
from typing import Any

from pydantic import JsonValue
from tokenizers import Encoding, Tokenizer

from reward_model.packing import Sequence
from reward_model.text.chat import (
    NO_INPUTS,
    ChatTokenizer,
    Conversation,
    TemplateInputs,
    Unencodable,
)
from reward_model.text.encoding import Encoder
from reward_model.text.tokenizing import bare_copy, tokenize


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
        self._pairing = bare_copy(tokenizer.backend_tokenizer)
        self._pairing.encode_special_tokens = True
        definition = json.loads(self._pairing.to_str())
        unknown = _unknown_token(definition["model"])
        # Any text may have the token for unknown letters, though it is special.
        self._control = {token: id_ for token, id_ in self._special_ids.items() if token != unknown}
        if any(
            id_ in self._pairing.encode(token, add_special_tokens=False).ids
            for token, id_ in self._control.items()
        ):
            self._pairing = _without_words(definition, self._control)
        self._control_ids = set(self._control.values())

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
        pair = tokenize(self._pairing, (prompt, answer), add_special_tokens=True)
        written = zip(pair.ids, pair.special_tokens_mask, strict=True)
        if any(id_ in self._control_ids and not by_tokenizer for id_, by_tokenizer in written):
            raise Unencodable("the text spells a special token that this tokenizer cannot escape")
        return pair


def _unknown_token(model: dict[str, JsonValue]) -> JsonValue:
    """The token for unknown letters of a model of tokenizer.json."""
    vocabulary, index = model.get("vocab"), model.get("unk_id")
    if isinstance(vocabulary, list) and isinstance(index, int):
        entry = vocabulary[index]
        return entry[0] if isinstance(entry, list) else None
    return model.get("unk_token")


def _without_words(definition: dict[str, Any], control: Iterable[str]) -> Tokenizer:
    """The same tokenizer, to which the letters of control tokens are no words.

    A vocabulary of Unigram holds `</s>` as a word like any other. Here such words are spelled in
    characters that mean nothing, and keep their ids.
    """
    renamed = {token: f"\ue000\ue001{index}\ue002" for index, token in enumerate(control)}
    model = definition["model"]
    if isinstance(model["vocab"], dict):
        model["vocab"] = {renamed.get(token, token): id_ for token, id_ in model["vocab"].items()}
    else:
        model["vocab"] = [[renamed.get(token, token), score] for token, score in model["vocab"]]
    for token in definition["added_tokens"]:
        token["content"] = renamed.get(token["content"], token["content"])
    tokenizer: Tokenizer = Tokenizer.from_str(json.dumps(definition))
    tokenizer.encode_special_tokens = True
    return tokenizer

"""Finds or adds a token that pads, because most chat models pad with the token that ends a text.

transformers reads a score at the last token that is no pad. A pad that a text may end with moves
that place, so a pad must be a token that neither the chat template nor any text makes.
"""

import re
from dataclasses import dataclass
from typing import Literal

from tokenizers import AddedToken, Tokenizer
from transformers import PreTrainedTokenizerBase

from reward_model.text.chat import Message, Unencodable, render

# Names of tokens that are made for padding, the most usual ones first. The placeholders of images
# and sounds are called pads as well, and mean something to a model of several modalities.
_PADS = (r"<pad>|\[PAD\]|<\|pad\|>|<\|padding\|>", r"(?!.*(image|video|audio)).*pad.*")
# Names of tokens that makers of tokenizers keep for later: numbered, and without a meaning.
_RESERVED = r".*(reserved|unused|placeholder|dummy|extra|control|special)\D*\d+.*"

# Letters that hardly any vocabulary holds: what a tokenizer makes of them shows whether its token
# for unknown letters, or a pad, ever stands for text.
_ODD_TEXT = "\ue000 \ua66e \U00010348 \x01 \u0a5f"

_ROLES = ("system", "user", "assistant", "tool")


@dataclass(frozen=True)
class PadToken:
    """The token that pads, and where it is from.

    Attributes:
        origin: `own` is the tokenizer's choice; `unused` is a token of its vocabulary that had no
            other purpose; `added` is new.
        replaced: the tokenizer's choice, which texts may contain; None if it had none.
    """

    token: str
    id: int
    origin: Literal["own", "unused", "added"]
    replaced: str | None = None

    @property
    def note(self) -> str:
        """One line for the log."""
        reason = "has no pad token"
        if self.replaced is not None:
            reason = f"pads with {self.replaced!r}, which a text may end with"
        made = "added" if self.origin == "added" else "in its vocabulary and unused"
        return f"the tokenizer {reason}: {self.token!r} pads from now on (id {self.id}, {made})"


def settle_pad(tokenizer: PreTrainedTokenizerBase) -> PadToken:
    """Choose the tokenizer's pad token, and set it: its own, an unused one, or a new one.

    The choice depends on the tokenizer alone, so every process and every rerun makes the same one.
    """
    own = tokenizer.pad_token
    assert own is None or isinstance(own, str)
    backend = tokenizer.backend_tokenizer
    vocabulary: dict[str, int] = backend.get_vocab()
    special = {token.content for token in backend.get_added_tokens_decoder().values()}
    taken = written_by_template(tokenizer, special) | {tokenizer.eos_token}
    made = ids_of_text(backend, special)

    def is_free(token: str) -> bool:
        return token in vocabulary and token not in taken and vocabulary[token] not in made

    if own is not None and is_free(own):
        return PadToken(own, vocabulary[own], "own")
    unknown = tokenizer.unk_token
    # Tokens that mark the beginning or a part of a text are in use, whatever the template writes.
    taken |= {tokenizer.bos_token, tokenizer.sep_token, tokenizer.cls_token, tokenizer.mask_token}
    free = sorted(filter(is_free, special), key=lambda token: vocabulary[token])
    for pattern in _PADS:
        if found := [token for token in free if re.fullmatch(pattern, token, re.IGNORECASE)]:
            return _set(tokenizer, found[0], "unused")
    # The last of many reserved tokens: finetuning gives meanings to the first ones.
    if found := [token for token in free if re.fullmatch(_RESERVED, token, re.IGNORECASE)]:
        return _set(tokenizer, found[-1], "unused")
    if isinstance(unknown, str) and unknown in free:
        return _set(tokenizer, unknown, "unused")
    name = "<|pad|>"
    while name in vocabulary:
        name = name.replace("pad", "pad_")
    return _set(tokenizer, name, "added")


def _set(
    tokenizer: PreTrainedTokenizerBase, token: str, origin: Literal["unused", "added"]
) -> PadToken:
    replaced = tokenizer.pad_token
    tokenizer.add_special_tokens({"pad_token": AddedToken(token, special=True, normalized=False)})
    assert isinstance(tokenizer.pad_token_id, int)
    return PadToken(token, tokenizer.pad_token_id, origin, replaced)


def written_by_template(tokenizer: PreTrainedTokenizerBase, tokens: set[str]) -> set[str]:
    """Tokens that the chat template may write: those in its source, and in what it renders."""
    texts = [str(tokenizer.chat_template)]
    user, assistant = Message("user", "x"), Message("assistant", "x")
    for first in (user, *(Message(role, "x") for role in _ROLES)):
        for conversation in ((first, assistant), (first, user, assistant, user, assistant)):
            try:
                texts.append(render(tokenizer, conversation))
            except Unencodable:  # most templates refuse some roles or orders
                continue
    return {token for token in tokens if any(token in text for text in texts)}


def needed_rows(tokenizer: PreTrainedTokenizerBase) -> int:
    """Rows that an embedding needs: one for each id of a text, of the template, and of the pad.

    Special tokens that nothing writes need none: some loaders add one that no checkpoint has.
    """
    backend = tokenizer.backend_tokenizer
    added = backend.get_added_tokens_decoder().values()
    special = {token.content for token in added if token.special}
    unused = special - written_by_template(tokenizer, special) - {tokenizer.pad_token}
    vocabulary: dict[str, int] = backend.get_vocab()
    return 1 + max(id_ for token, id_ in vocabulary.items() if token not in unused)


def ids_of_text(backend: Tokenizer, special: set[str]) -> set[int]:
    """Ids that text may become: by its letters, also where they spell a special token."""
    literal: Tokenizer = Tokenizer.from_str(backend.to_str())
    literal.encode_special_tokens = True
    found = set(literal.encode(_ODD_TEXT, add_special_tokens=False).ids)
    for token in special:
        own = backend.token_to_id(token)
        if own in literal.encode(token, add_special_tokens=False).ids:
            found.add(own)
    return found

"""Chooses how a checkpoint's conversations are encoded, and that the model knows their tokens."""

from transformers import PreTrainedTokenizerBase

from reward_model.release.release import Release, ReleaseError
from reward_model.release.weight_names import some
from reward_model.text.chat import Message, Unencodable
from reward_model.text.encoding import Encoder, TooLong
from reward_model.text.pairs import PairEncoder

# Texts without anything that a tokenizer or a template might treat in a way of its own.
_PROBES = tuple(
    (Message("user", prompt), Message("assistant", answer))
    for prompt, answer in (("what is a cat", "an animal"), ("x", "y z"))
)


def make_encoder(
    release: Release, tokenizer: PreTrainedTokenizerBase, max_tokens: int
) -> tuple[Encoder, tuple[str, ...]]:
    """Return the encoder of a checkpoint's conversations, and warnings of its tokens.

    The chat template decides what a conversation looks like. An encoder (BERT and the like) without
    one, or whose template writes nothing but the tokenizer's own pair, reads that pair.

    Raises:
        ReleaseError: the template or the tokenizer writes tokens that the model does not know.
    """
    warnings = list(check_vocabulary(release, tokenizer))
    recorded = release.encoding.template_date if release.encoding else None
    encoder = Encoder(
        tokenizer,
        max_tokens=max_tokens,
        pad_id=release.pad_id,
        embeddings=release.embeddings,
        template_date=recorded,
    )
    if tokenizer.chat_template:
        warnings += _template_warnings(encoder, dated=recorded is not None)
    if not release.bidirectional:
        return encoder, tuple(warnings)
    token_types = release.segments > 1 and "token_type_ids" in tokenizer.model_input_names
    pairs = PairEncoder(
        tokenizer,
        max_tokens=max_tokens,
        pad_id=release.pad_id,
        embeddings=release.embeddings,
        token_types=token_types,
    )
    if not tokenizer.chat_template:
        return pairs, tuple(warnings)
    if token_types:
        if all(encoder.encode(probe).ids == pairs.encode(probe).ids for probe in _PROBES):
            return pairs, tuple(warnings)
        warnings.append(
            "the chat template makes one text of a conversation, so all its token types are 0, as "
            f"transformers has them for one text; the model knows {release.segments}, and without "
            "a chat template prompt and answer are the tokenizer's own pair"
        )
    return encoder, tuple(warnings)


def _template_warnings(encoder: Encoder, *, dated: bool) -> list[str]:
    """Return warnings where scores differ from what users of the template may expect."""
    warnings = []
    if (day := encoder.template_date) and not dated:
        warnings.append(
            f"the chat template asks for today's date and is always told {day:%Y-%m-%d}, because "
            "scores would change from day to day; publish a release to keep the date of training"
        )
    reasoned = (f"<think>\n{thought}\n</think>\n\nIt is 2." for thought in ("1 + 1", "no idea"))
    try:
        ids = {encoder.encode((_PROBES[0][0], Message("assistant", text))).ids for text in reasoned}
    except (TooLong, Unencodable):
        return warnings
    if len(ids) == 1:
        warnings.append(
            "the chat template leaves out what an answer has between <think> and </think>, so "
            "answers that differ in nothing else get equal scores"
        )
    return warnings


def check_vocabulary(release: Release, tokenizer: PreTrainedTokenizerBase) -> tuple[str, ...]:
    """Compare the ids of all tokens with the rows of the model's embedding.

    Returns:
        A warning of tokens that no text may have.

    Raises:
        ReleaseError: every conversation has such a token, because the template writes it.
    """
    rows = release.embeddings
    if rows is None:
        return ()
    beyond = {token: id_ for token, id_ in tokenizer.get_vocab().items() if id_ >= rows}
    if not beyond:
        return ()
    limitless = Encoder(tokenizer, max_tokens=2**31, pad_id=None)
    if tokenizer.chat_template:
        written = limitless.encode(_PROBES[0]).ids
    else:
        written = tuple(tokenizer.backend_tokenizer.encode("x", "y").ids)
    if own := [token for token, id_ in beyond.items() if id_ in written]:
        raise ReleaseError(
            f"{release.folder}: every conversation has {some(own)}, and the model's embedding has "
            f"no row for it ({rows} rows); resize the model with resize_token_embeddings, train "
            "it, and save it again"
        )
    return (
        f"the model's embedding has {rows} rows, and none for {some(beyond)} of its tokenizer: "
        "texts with such a token are unencodable",
    )

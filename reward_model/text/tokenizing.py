"""Calls of the tokenizer, which is a library in Rust: what it raises, and how long it may take."""

from collections.abc import Callable, Iterator

from tokenizers import Encoding, Tokenizer

from reward_model.text.template import Unencodable

PIECE = 64 * 1024
"""Characters of a text that is only counted or cut, encoded at a time: some 20 ms of work."""


class Stopped(Exception):
    """Nobody wants the result any more."""


def bare_copy(tokenizer: Tokenizer) -> Tokenizer:
    """A copy without truncation and padding, which others may switch on in the original."""
    copy: Tokenizer = Tokenizer.from_str(tokenizer.to_str())
    copy.no_truncation()
    copy.no_padding()
    return copy


def is_panic(error: BaseException) -> bool:
    """Tell whether Rust panicked, which in Python is no `Exception` and no type to import."""
    return type(error).__name__ == "PanicException"


def tokenize(
    tokenizer: Tokenizer,
    text: str | tuple[str, str],
    *,
    offsets: bool = False,
    add_special_tokens: bool = False,
) -> Encoding:
    """Encode a text or a pair. It is faster without `offsets`, which then mean nothing.

    Raises:
        Unencodable: the tokenizer fails on this text.
    """
    # `Tokenizer.encode` holds Python's global lock until it is done; these let other threads run.
    encode = tokenizer.encode_batch if offsets else tokenizer.encode_batch_fast
    try:
        (encoding,) = encode([text], add_special_tokens=add_special_tokens)
    except BaseException as error:
        if isinstance(error, Exception) or is_panic(error):
            raise Unencodable("the model's tokenizer fails on this text") from error
        raise
    assert isinstance(encoding, Encoding)
    return encoding


def pieces(text: str, stop: Callable[[], bool] = lambda: False) -> Iterator[tuple[int, str]]:
    """Yield where pieces of a text begin, and the pieces, which are cut before white space.

    Raises:
        Stopped: `stop` said so between two of them.
    """
    start = 0
    while start < len(text):
        if stop():
            raise Stopped
        end = start + PIECE
        if end < len(text):
            # Tokens rarely reach over the beginning of white space.
            gap = max(text.rfind(" ", start + 1, end), text.rfind("\n", start + 1, end))
            end = gap if gap > start + PIECE // 2 else end
        yield start, text[start:end]
        start = end

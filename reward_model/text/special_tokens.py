"""Special tokens that a text spells: told from the template's own, and kept as letters."""

import json
import re
from collections.abc import Iterable, Mapping
from itertools import product

from pydantic import JsonValue
from tokenizers import Encoding, Tokenizer

from reward_model.text.template import Unencodable
from reward_model.text.tokenizing import bare_copy, tokenize

# Unicode's private-use area in the basic plane: characters that mean nothing by themselves.
_PRIVATE_USE = frozenset(map(chr, range(0xE000, 0xF900)))

# Block elements of old computers. They are symbols, which no normalizer changes, and no text uses
# them in the order in which they stand for special tokens here.
_SYMBOLS = [chr(code) for code in range(0x1FB00, 0x1FB3C)]


class SpecialTokenEscaper:
    """Replaces letters that special tokens consist of by private-use characters, one for one.

    The result spells no special token, whatever a template joins or leaves out; and in what the
    template makes of it, every letter shows whether it is the user's or the template's.

    Raises:
        Unencodable: the texts leave too few private-use characters.
    """

    def __init__(self, texts: Iterable[str], specials: Iterable[str]) -> None:
        letters = sorted({letter for special in specials for letter in special if letter.strip()})
        unused = unused_characters(texts)
        if len(unused) < len(letters):
            raise Unencodable("the conversation uses up Unicode's private-use characters")
        self._escapes = dict(zip(map(ord, letters), unused, strict=False))
        self._originals = {ord(new): old for old, new in zip(letters, unused, strict=False)}

    def escape(self, text: str) -> str:
        return text.translate(self._escapes)

    def unescape(self, text: str) -> str:
        return text.translate(self._originals)


def unused_characters(texts: Iterable[str]) -> list[str]:
    """Return the private-use characters that no text contains."""
    return sorted(_PRIVATE_USE.difference(*texts))


def any_of(specials: Iterable[str], whole_words: Iterable[str] = ()) -> re.Pattern[str]:
    """Return a pattern that matches each special token; without any, it matches nothing.

    Args:
        whole_words: those that the tokenizer takes only where no word character is beside them.
    """
    whole = set(whole_words)
    # The first alternative that matches wins, so a token goes before its own prefixes.
    longest_first = sorted(specials, key=len, reverse=True)
    pattern = "|".join(
        rf"(?<!\w){re.escape(each)}(?!\w)" if each in whole else re.escape(each)
        for each in longest_first
    )
    return re.compile(f"(?:{pattern})" if pattern else "(?!)")


class LiteralTokenizer:
    """The tokenizer, to which special tokens are letters but where it is told otherwise.

    Its special tokens have other names, of as many characters, which stand in the text where the
    template wrote them. Everything else is as in the tokenizer: the white space that they swallow,
    the prefix of a text, and what the letters around become.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        added = tokenizer.get_added_tokens_decoder()
        specials = {id_: token.content for id_, token in added.items() if token.special}
        names = _names(specials.values())
        saved = json.loads(bare_copy(tokenizer).to_str())
        for token in saved["added_tokens"]:
            if token["special"]:
                token["content"] = names[token["content"]]
        _rename(saved["model"], names)
        self._tokenizer: Tokenizer = Tokenizer.from_str(json.dumps(saved, ensure_ascii=False))
        self._names = names
        self._taken = any_of(names.values())
        # Tokens that the vocabulary of the model lacks may get other ids than they had.
        renamed = {self._tokenizer.token_to_id(names[name]): id_ for id_, name in specials.items()}
        self._ids = {new: old for new, old in renamed.items() if new is not None and new != old}

    def encode(
        self, text: str, own: Iterable[tuple[int, int]] = (), *, offsets: bool = False
    ) -> tuple[list[int], Encoding]:
        """Encode a text in which the special tokens at `own` are tokens, and no others.

        Returns:
            The ids, and the encoding for its offsets, which are those of `text`.

        Raises:
            Unencodable: the text holds what stands for a special token here.
        """
        self._require_free(text)
        parts, start = [], 0
        for begin, end in own:
            parts += [text[start:begin], self._names[text[begin:end]]]
            start = end
        parts.append(text[start:])
        encoding = tokenize(self._tokenizer, "".join(parts), offsets=offsets)
        ids = list(encoding.ids)
        return ([self._ids.get(id_, id_) for id_ in ids] if self._ids else ids), encoding

    def encode_pair(self, first: str, second: str) -> Encoding:
        """Encode two texts in which no special token is a token, with the tokenizer's own around.

        Raises:
            Unencodable: a text holds what stands for a special token here.
        """
        self._require_free(first)
        self._require_free(second)
        return tokenize(self._tokenizer, (first, second), add_special_tokens=True)

    def _require_free(self, text: str) -> None:
        if self._taken.search(text):
            raise Unencodable("the text has symbols that stand for special tokens: leave them out")


def unknown_token(tokenizer: Tokenizer) -> str | None:
    """The token that stands for letters without one of their own; None where there is none."""
    model = json.loads(tokenizer.to_str())["model"]
    vocabulary, index = model.get("vocab"), model.get("unk_id")
    of_list = isinstance(vocabulary, list) and isinstance(index, int)
    token = vocabulary[index][0] if of_list else model.get("unk_token")
    return token if isinstance(token, str) else None


def _names(specials: Iterable[str]) -> dict[str, str]:
    """A name of the same length for each special token, which no text has."""
    names: dict[str, str] = {}
    fresh = {length: map("".join, product(_SYMBOLS, repeat=min(length, 3))) for length in (1, 2, 3)}
    for special in specials:
        name = next(fresh[min(len(special), 3)], "")
        names[special] = name + _SYMBOLS[-1] * (len(special) - len(name))
    return names


def _rename(model: dict[str, JsonValue], names: Mapping[str, str]) -> None:
    """Rename special tokens in the vocabulary of a model, so that letters never become them."""
    match model.get("vocab"):
        case dict() as vocabulary:
            model["vocab"] = {names.get(token, token): id_ for token, id_ in vocabulary.items()}
        case list() as entries:
            for entry in entries:
                if isinstance(entry, list) and isinstance(entry[0], str):
                    entry[0] = names.get(entry[0], entry[0])
    if isinstance(unknown := model.get("unk_token"), str):
        model["unk_token"] = names.get(unknown, unknown)

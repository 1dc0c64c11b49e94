"""Which names a model may be served under: those that no request can misread."""

import unicodedata

# `@` ends a name where a version follows, `+` joins the names of models that score together, and
# `,` separates models in a list.
_SEPARATORS = "@+,"

# The Open Inference Protocol has these words after a model's name in its paths.
_WORDS_OF_PATHS = frozenset({"versions", "ready", "infer", "config"})

_MAX_CHARACTERS = 200


def require_name(name: str) -> str:
    """Return a model's name as it is.

    Raises:
        ValueError: requests could not name it, or could mean another model by it.
    """
    if not 0 < len(name) <= _MAX_CHARACTERS:
        raise ValueError(f"must have 1 to {_MAX_CHARACTERS} characters")
    if found := next((separator for separator in _SEPARATORS if separator in name), None):
        raise ValueError(
            f"must not contain {found!r}: in requests and answers, @ stands before a version, + "
            "between models that score together, and a comma between the models of a list"
        )
    if name != name.strip() or not name.isprintable():
        raise ValueError(
            "must not begin or end with a space, or contain characters that do not print"
        )
    if not unicodedata.is_normalized("NFC", name):
        raise ValueError("must be in Unicode's composed form (NFC), as keyboards write it")
    # Hub ids have slashes, and some trainers name a model by its path.
    first, *others = name.split("/")
    if {first, *others} & {".", ".."}:
        raise ValueError("must not have . or .. as a part, because clients resolve them in paths")
    if found := next((word for word in others if word in _WORDS_OF_PATHS), None):
        raise ValueError(f"must not contain /{found}, which stands after a model's name in paths")
    return name


def look_alike(one: str, other: str) -> bool:
    """Tell whether two different names differ only in case or in how Unicode writes them."""
    return one != other and _folded(one) == _folded(other)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()

"""The known languages: their names and suffixes, and the node types of their functions."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True)
class Language:
    """A known language.

    Attributes:
        also: other names that datasets use, in small letters.
        grammar: module of its tree-sitter grammar; without a grammar its files are kept whole.
        entry: the module's function that returns the grammar.
        functions: node types of functions, or of nodes that hold one as their `value`.
    """

    name: str
    suffixes: tuple[str, ...]
    also: tuple[str, ...] = ()
    grammar: str = ""
    entry: str = "language"
    functions: frozenset[str] = frozenset()


_SCRIPT_FUNCTIONS = frozenset(
    {
        "function_declaration",
        "generator_function_declaration",
        "method_definition",
        "variable_declarator",  # const f = (a) => ...
    }
)
_C_FUNCTIONS = frozenset({"function_definition"})

_KNOWN = (
    Language("python", (".py",), ("python3",)),
    Language(
        "javascript",
        (".js", ".mjs", ".cjs", ".jsx"),
        ("js", "jsx"),
        "tree_sitter_javascript",
        functions=_SCRIPT_FUNCTIONS,
    ),
    Language(
        "typescript",
        (".ts", ".mts", ".cts"),
        ("ts",),
        "tree_sitter_typescript",
        "language_typescript",
        _SCRIPT_FUNCTIONS,
    ),
    Language(
        "tsx", (".tsx",), (), "tree_sitter_typescript", "language_tsx", functions=_SCRIPT_FUNCTIONS
    ),
    Language(
        "java",
        (".java",),
        (),
        "tree_sitter_java",
        functions=frozenset({"method_declaration", "constructor_declaration"}),
    ),
    Language(
        "go",
        (".go",),
        ("golang",),
        "tree_sitter_go",
        functions=frozenset({"function_declaration", "method_declaration"}),
    ),
    Language("rust", (".rs",), (), "tree_sitter_rust", functions=frozenset({"function_item"})),
    Language("c", (".c", ".h"), (), "tree_sitter_c", functions=_C_FUNCTIONS),
    Language(
        "cpp",
        (".cpp", ".cc", ".cxx", ".hpp", ".hh", ".hxx"),
        ("c++",),
        "tree_sitter_cpp",
        functions=_C_FUNCTIONS,
    ),
    Language("csharp", (".cs",), ("c#", "c-sharp")),
    Language("ruby", (".rb",)),
    Language("php", (".php",)),
    Language("kotlin", (".kt",)),
    Language("scala", (".scala",)),
    Language("swift", (".swift",)),
    Language("shell", (".sh", ".bash"), ("bash", "sh")),
    Language("lua", (".lua",)),
    Language("perl", (".pl", ".pm")),
    Language("julia", (".jl",)),
    Language("r", (".r",)),
    Language("haskell", (".hs",)),
    Language("elixir", (".ex", ".exs")),
    Language("dart", (".dart",)),
)
LANGUAGES = {language.name: language for language in _KNOWN}
_NAMES = {name: known.name for known in _KNOWN for name in (known.name, *known.also)}
_SUFFIXES = {suffix: known.name for known in _KNOWN for suffix in known.suffixes}
_ONLY_CPP = re.compile(r"^\s*(namespace|template\s*<|class\s+\w|using\s|(public|private):)", re.M)


def language_of(stated: str, path: str, text: str = "") -> str:
    """The language as stated, or else by the path's suffix; empty when neither tells.

    Args:
        text: decides whether a header is C or C++, which share a suffix.
    """
    by_suffix = _SUFFIXES.get(PurePosixPath(path).suffix.lower(), "")
    if not stated:
        is_cpp = path.endswith(".h") and _ONLY_CPP.search(text)
        return "cpp" if is_cpp else by_suffix
    name = _NAMES.get(stated.lower(), stated.lower())
    # Datasets call both of them TypeScript, but each has a grammar of its own.
    return "tsx" if (name, by_suffix) == ("typescript", "tsx") else name

"""Files of other languages -> functions, by tree-sitter, if a grammar is installed."""

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib import import_module

from tree_sitter import Language as Grammar
from tree_sitter import Node, Parser

from trainer.corpus.fragment import Fragment, reason_to_drop
from trainer.corpus.languages import Language

# Punctuation is a node here: about twice as many as Python's `ast` has for the same code.
_MIN_NODES = 30

# Nodes around a function that belong to it.
_WRAPPERS = {
    "export_statement",
    "lexical_declaration",
    "variable_declaration",
    "template_declaration",
}
_CALLABLE_VALUES = {"arrow_function", "function_expression", "generator_function"}
_COMMENTS = {"comment", "line_comment", "block_comment"}
_BETWEEN = {"attribute_item", "decorator"}  # may stand between a function and its comment
_MARKER = re.compile(r"^\s*(/\*+|\*+/|//+!?|\*)?\s?|\s*\*+/\s*$")


@cache
def parser_of(language: Language) -> Parser | None:
    """The language's parser; None when it has no grammar or the grammar is not installed."""
    if not language.grammar:
        return None
    try:
        module = import_module(language.grammar)
    except ModuleNotFoundError:
        return None
    return Parser(Grammar(getattr(module, language.entry)()))


def functions(text: str, language: Language, counts: Counter[str]) -> Iterator[Fragment]:
    """All functions with a name and a body; nested ones stay where they are."""
    parser = parser_of(language)
    assert parser is not None, f"no grammar of {language.name}"
    source = text.encode()
    # An explicit stack instead of recursion: generated files nest deeper than Python may.
    waiting = [parser.parse(source).root_node]
    while waiting:
        node = waiting.pop()
        body: Node | None = None
        if node.type in language.functions:
            # The node that names a function may hold it as its value: const f = (a) => ...
            value = node.child_by_field_name("value")
            holder = value if value is not None and value.type in _CALLABLE_VALUES else node
            body = holder.child_by_field_name("body")
        # The C grammar reads a class behind a macro as a function, but finds no name for it.
        name = name_of(node) if body is not None else ""
        if body is None or not name:
            waiting.extend(reversed(node.named_children))
        elif node.has_error:
            counts["does not parse"] += 1
        elif reason := reason_to_drop(name, body.descendant_count, _MIN_NODES):
            counts[reason] += 1
        else:
            whole = node
            while whole.parent is not None and whole.parent.type in _WRAPPERS:
                whole = whole.parent
            head = source[whole.start_byte : body.start_byte].decode()
            signature = " ".join(head.split()).removesuffix("=>").rstrip()
            yield Fragment(name, signature, comment_above(whole), dedented(whole, source))


def name_of(node: Node) -> str:
    """A function's name, or an empty string.

    In C the name is at the bottom of nested declarators: `char *(*name(int a))[3]`.
    """
    named = node.child_by_field_name("name")
    if named is not None:
        return _text(named).decode()
    declared, is_function = node.child_by_field_name("declarator"), False
    while declared is not None:
        if declared.type == "operator_cast":  # operator bool() const
            return _text(declared).decode().partition("(")[0].strip()
        is_function = is_function or declared.type == "function_declarator"
        inner = declared.child_by_field_name("declarator")
        if inner is None and declared.type.endswith("_declarator") and declared.named_children:
            inner = declared.named_children[-1]  # C++ has no field for that of a reference
        if inner is None:
            return _text(declared).decode() if is_function else ""
        declared = inner
    return ""


def comment_above(node: Node) -> str:
    """The comment on the lines right above a node, without its markers."""
    above: list[Node] = []
    line, before = node.start_point.row, node.prev_sibling
    while before is not None and before.type in _COMMENTS | _BETWEEN:
        if before.end_point.row < line - 1:  # an empty line ends the comment
            break
        if before.type in _COMMENTS:
            above.insert(0, before)
        line, before = before.start_point.row, before.prev_sibling
    if above and before is not None and before.end_point.row == above[0].start_point.row:
        above.pop(0)  # it stands behind code, and is about that code
    lines = [line for comment in above for line in _text(comment).decode().splitlines()]
    return "\n".join(_MARKER.sub("", line).rstrip() for line in lines).strip()


def dedented(node: Node, source: bytes) -> str:
    """A node's text as if it began its line; lines that are indented less stay as they are."""
    before = source[source.rfind(b"\n", 0, node.start_byte) + 1 : node.start_byte].decode()
    indentation = before if not before.strip() else ""
    lines = _text(node).decode().split("\n")
    return "\n".join([lines[0], *(line.removeprefix(indentation) for line in lines[1:])])


def _text(node: Node) -> bytes:
    assert node.text is not None, "the tree was parsed from text"
    return node.text

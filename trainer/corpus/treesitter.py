"""Files of other languages -> functions, by tree-sitter, where a grammar is installed."""

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib import import_module

from tree_sitter import Language as Grammar
from tree_sitter import Node, Parser

from trainer.corpus.fragment import Fragment, worthless
from trainer.corpus.languages import Language

_LEAST_NODES = 30
"""Punctuation is a node as well here: about twice as many as Python's `ast` has for the same."""

_WRAPPERS = {
    "export_statement",
    "lexical_declaration",
    "variable_declaration",
    "template_declaration",
}
"""What belongs to the function it holds."""

_CALLABLE_VALUES = {"arrow_function", "function_expression", "generator_function"}
_COMMENTS = {"comment", "line_comment", "block_comment"}
_BETWEEN = {"attribute_item", "decorator"}
"""What may stand between a function and the comment about it."""

_MARKER = re.compile(r"^\s*(/\*+|\*+/|//+!?|\*)?\s?|\s*\*+/\s*$")


@cache
def parser_of(language: Language) -> Parser | None:
    """None where nothing can cut this language: it has no grammar, or it is not installed."""
    if not language.grammar:
        return None
    try:
        module = import_module(language.grammar)
    except ModuleNotFoundError:
        return None
    return Parser(Grammar(getattr(module, language.entry)()))


def functions(text: str, language: Language, counts: Counter[str]) -> Iterator[Fragment]:
    """All functions with a body; nested ones stay where they are."""
    parser = parser_of(language)
    assert parser is not None, f"no grammar of {language.name}"
    source = text.encode()
    for node, function in _functions(parser.parse(source).root_node, language.functions):
        if piece := _piece(node, function, source, counts):
            yield piece


def _functions(root: Node, types: frozenset[str]) -> Iterator[tuple[Node, Node]]:
    """The node that names a function and the one that has its body: mostly the same.

    What has no name is no function: C takes a class behind a macro for one.
    """
    waiting = [root]
    while waiting:
        node = waiting.pop()
        function = _with_body(node) if node.type in types else None
        if function is not None and _name(node):
            yield node, function
        else:
            waiting.extend(reversed(node.named_children))


def _with_body(node: Node) -> Node | None:
    value = node.child_by_field_name("value")
    function = value if value is not None and value.type in _CALLABLE_VALUES else node
    return function if function.child_by_field_name("body") is not None else None


def _piece(node: Node, function: Node, source: bytes, counts: Counter[str]) -> Fragment | None:
    body = function.child_by_field_name("body")
    assert body is not None, "_functions yields none without"
    whole, name = _whole(node), _name(node)
    if node.has_error:
        counts["does not parse"] += 1
        return None
    if worthless(name, body.descendant_count, _LEAST_NODES, counts):
        return None
    head = source[whole.start_byte : body.start_byte].decode()
    signature = " ".join(head.split()).removesuffix("=>").rstrip()
    return Fragment(name, signature, _comment(whole), _dedented(whole, source))


def _whole(node: Node) -> Node:
    while node.parent is not None and node.parent.type in _WRAPPERS:
        node = node.parent
    return node


def _name(node: Node) -> str:
    """In C the name is at the bottom of what is declared: `char *(*name(int a))[3]`."""
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


def _comment(node: Node) -> str:
    """Of the lines right above it, without their markers."""
    above: list[Node] = []
    line, before = node.start_point.row, node.prev_sibling
    while before is not None and before.type in _COMMENTS | _BETWEEN:
        if before.end_point.row < line - 1:
            break
        if before.type in _COMMENTS:
            above.insert(0, before)
        line, before = before.start_point.row, before.prev_sibling
    if above and before is not None and before.end_point.row == above[0].start_point.row:
        above.pop(0)  # it stands behind code, and is about that
    lines = [line for comment in above for line in _text(comment).decode().splitlines()]
    return "\n".join(_MARKER.sub("", line).rstrip() for line in lines).strip()


def _dedented(node: Node, source: bytes) -> str:
    """Its text as if it began its line; lines that are indented less are left as they are."""
    before = source[source.rfind(b"\n", 0, node.start_byte) + 1 : node.start_byte].decode()
    indentation = before if not before.strip() else ""
    lines = _text(node).decode().split("\n")
    return "\n".join([lines[0], *(line.removeprefix(indentation) for line in lines[1:])])


def _text(node: Node) -> bytes:
    assert node.text is not None, "the tree was parsed from text"
    return node.text

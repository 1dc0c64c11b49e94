"""Which Python expressions are plain data, and their normal spelling. Nothing is evaluated here."""

import ast
import warnings

# What JSON and mathematicians write for Python's own names.
_SPELLINGS = {
    "true": "True",
    "false": "False",
    "null": "None",
    "inf": "float('inf')",
    "Infinity": "float('inf')",
    "nan": "float('nan')",
    "NaN": "float('nan')",
    "math.inf": "float('inf')",
    "math.nan": "float('nan')",
}
# Calls without effects, which make data of data.
_CONSTRUCTORS = frozenset(
    (
        *("set", "frozenset", "dict", "list", "tuple", "range", "sorted"),
        *("float", "int", "complex", "str", "bytes", "bytearray"),
    )
)
_KEPT = (
    *(ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Load, ast.keyword),
    *(ast.UnaryOp, ast.USub, ast.UAdd),
    *(ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow),
)


def parse_expression(text: str) -> ast.expr | None:
    """The syntax tree of one expression; None if the text is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about invalid escapes in what a model wrote
            return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def plain(node: ast.expr, variables: dict[str, ast.expr]) -> ast.expr | None:
    """The expression in normal spelling if it is plain data, else None.

    Plain data are literals, containers of them, arithmetic, and the constructors of built-in types.
    Names stand for `variables`, and for the constants of JSON.
    """
    try:
        tree = _Normal(variables).visit(node)
    except (_NotPlain, RecursionError):
        return None
    assert isinstance(tree, ast.expr)
    return tree


class _NotPlain(Exception):
    pass


class _Normal(ast.NodeTransformer):
    def __init__(self, variables: dict[str, ast.expr]) -> None:
        self._variables = variables

    def generic_visit(self, node: ast.AST) -> ast.AST:
        unpacked = isinstance(node, ast.Dict) and None in node.keys
        if not isinstance(node, _KEPT) or unpacked:
            raise _NotPlain
        if isinstance(node, ast.Constant) and node.value is ...:  # "and so on"
            raise _NotPlain
        return super().generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self._variables:
            return self._variables[node.id]
        return self._spelled(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return self._spelled(ast.unparse(node))

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if not isinstance(node.func, ast.Name) or node.func.id not in _CONSTRUCTORS:
            raise _NotPlain
        arguments = [self.visit(each) for each in node.args]
        keywords = [self.visit(each) for each in node.keywords]
        return ast.Call(node.func, arguments, keywords)

    def _spelled(self, name: str) -> ast.AST:
        if name not in _SPELLINGS:
            raise _NotPlain
        return ast.parse(_SPELLINGS[name], mode="eval").body

"""Mutants of a Python file: each a small mistake in one place, as a person might make it.

Comparisons at their boundary and turned round; the signs of arithmetic; numbers one off; `not`, `and`, `or`; conditions turned
round; a result of None; a statement left out; two arguments swapped; the least for the greatest; comparisons and orders in SQL.
Left alone: texts, annotations, decorators, assertions, imports.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

_COMPARE: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.MatMult: ast.Mult,
}  # fmt: skip
_PAIRS = {"min": "max", "any": "all", "amin": "amax", "minimum": "maximum", "floor": "ceil"}
_OTHER_NAME = {**_PAIRS, **{other: name for name, other in _PAIRS.items()}}
_SQL = re.compile(r"\b(SELECT|UPDATE|DELETE FROM|INSERT|WHERE|ORDER BY)\b|[\w.]+ (=|!=|<|>|IN|IS) ?[?:(N]")
_SQL_WORDS = (
    (r"!=", "="), (r"(?<![!<>=:])=(?!=)", "!="), (r"<(?![=>])", "<="), (r"(?<![<=-])>(?!=)", ">="), (r"<=", "<"), (r">=", ">"),
    (r"\bAND\b", "OR"), (r"\bOR\b(?! (?:REPLACE|IGNORE))", "AND"), (r"\bDESC\b", "ASC"), (r"\bmin\(", "max("), (r"\bmax\(", "min("),
    (r"\bNOT IN\b", "IN"), (r"\bIS NOT NULL\b", "IS NULL"), (r"\bIS NULL\b", "IS NOT NULL"), (r"\bUNION ALL\b", "UNION"),
)  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A file with one thing changed."""

    function: str  # the qualified name of what it is in; "" at the top
    before: str
    after: str
    place: int  # which of those alike in this function, from 0
    line: int
    lines: range  # of the statement that it is in; of a compound one, its head
    source: str

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What it is called, wherever in the file it stands."""
        return (self.function, self.before, self.after, self.place)


def mutants(source: str) -> list[Mutant]:
    """All mutants of a file, in the order of its lines."""
    tree = ast.parse(source)
    finder = _Finder()
    finder.visit(tree)
    seen: Counter[tuple[str, str, str]] = Counter()
    found = []
    for site in sorted(finder.sites, key=lambda site: (site.node.lineno, site.node.col_offset)):
        name = (site.function, ast.unparse(site.node), ast.unparse(site.instead))
        if name[1] != name[2]:
            found.append(Mutant(*name, seen[name], site.node.lineno, site.lines, site.text(tree)))
            seen[name] += 1
    return found


def sampled(every: list[Mutant], count: int, seed: str) -> list[Mutant]:
    """So many of them, in their order; 0 means all. One that comes or goes leaves the choice of the others as it was."""
    chosen = sorted(every, key=lambda mutant: sha256(repr((seed, mutant.key)).encode()).digest())[: count or None]
    return sorted(chosen, key=every.index)


@dataclass(frozen=True)
class _Site:
    """A node, where its parent holds it, and what it could be instead."""

    node: Any
    instead: Any
    parent: ast.AST
    field: str
    index: int | None
    function: str
    lines: range

    def text(self, tree: ast.Module) -> str:
        """The whole file with the other node."""
        self._put(ast.fix_missing_locations(ast.copy_location(self.instead, self.node)))
        try:
            return ast.unparse(tree)
        finally:
            self._put(self.node)

    def _put(self, node: ast.AST) -> None:
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node


class _Finder:
    """Walks a tree, keeping the name of the function and the lines of the statement it is in."""

    def __init__(self) -> None:
        self.sites: list[_Site] = []
        self._names: list[str] = []
        self._lines = range(0)

    def visit(self, node: ast.AST) -> None:
        """Find the sites below a node."""
        named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if named:
            self._names.append(node.name)  # type: ignore[attr-defined]
        for field, index, child in _children(node):
            before = self._lines
            if isinstance(child, ast.stmt):
                self._lines = _head(child)
            for instead in _instead(child, node):
                self.sites.append(_Site(child, instead, node, field, index, ".".join(self._names), self._lines))
            self.visit(child)
            self._lines = before
        if named:
            self._names.pop()


def _children(node: ast.AST) -> Iterator[tuple[str, int | None, ast.AST]]:
    """The parts of a node that are mutated, with their places. `strict=True` is an assertion."""
    if isinstance(node, ast.keyword) and node.arg == "strict":
        return
    if isinstance(node, ast.Import | ast.ImportFrom | ast.Assert | ast.Global | ast.Nonlocal | ast.arg):
        return
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "bases", "ctx", "ops", "op", "type_params"):
            continue
        if isinstance(value, list):
            for index, child in enumerate(value):
                if isinstance(child, ast.AST) and not (index == 0 and field == "body" and _is_text(child)):
                    yield field, index, child
        elif isinstance(value, ast.AST):
            yield field, None, value


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _head(statement: ast.stmt) -> range:
    """The lines of a statement, without those of the statements in it."""
    inner = getattr(statement, "body", None)
    last = inner[0].lineno - 1 if isinstance(inner, list) and inner else statement.end_lineno or statement.lineno
    return range(statement.lineno, max(last, statement.lineno) + 1)


def _instead(node: ast.AST, parent: ast.AST) -> Iterator[ast.AST]:
    """What a node could be instead of itself."""
    match node:
        case ast.Compare():
            yield from _other_comparisons(node)
        case ast.BinOp() if type(node.op) in _ARITHMETIC:
            yield ast.BinOp(node.left, _ARITHMETIC[type(node.op)](), node.right)
        case ast.AugAssign():
            if type(node.op) in _ARITHMETIC:
                yield ast.AugAssign(node.target, _ARITHMETIC[type(node.op)](), node.value)
            yield ast.Pass()
        case ast.UnaryOp() if not isinstance(node.operand, ast.Constant):
            yield node.operand
        case ast.BoolOp():
            yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        case ast.Constant():
            yield from _other_constants(node, parent)
        case ast.Return() if node.value is not None and not _is_none(node.value):
            yield ast.Return(ast.Constant(None))
        case ast.Raise() | ast.Delete():
            yield ast.Pass()
        case ast.Continue() | ast.Break():
            yield ast.Break() if isinstance(node, ast.Continue) else ast.Continue()
        case ast.Expr() if not isinstance(node.value, ast.Constant):
            yield ast.Pass()
        case ast.Assign() if not isinstance(node.targets[0], ast.Name | ast.Tuple):
            yield ast.Pass()
        case ast.Call():
            yield from _other_calls(node)
    if (
        isinstance(parent, ast.If | ast.IfExp | ast.While)
        and node is parent.test
        and not isinstance(node, ast.Compare | ast.UnaryOp)
    ):
        yield ast.UnaryOp(ast.Not(), node)
    if isinstance(parent, ast.comprehension) and node in parent.ifs and not isinstance(node, ast.Compare | ast.UnaryOp):
        yield ast.UnaryOp(ast.Not(), node)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _other_comparisons(node: ast.Compare) -> Iterator[ast.AST]:
    for place, op in enumerate(node.ops):
        for other in _COMPARE[type(op)]:
            yield ast.Compare(node.left, [*node.ops[:place], other(), *node.ops[place + 1 :]], node.comparators)


def _other_constants(node: ast.Constant, parent: ast.AST) -> Iterator[ast.AST]:
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield from (ast.Constant(value + 1), ast.Constant(value - 1))
    elif isinstance(value, float):
        yield ast.Constant(2 * value if value else 1.0)
    elif isinstance(value, str) and _SQL.search(value) and not isinstance(parent, ast.Expr):
        for pattern, other in _SQL_WORDS:
            yield from (ast.Constant(value[: m.start()] + other + value[m.end() :]) for m in re.finditer(pattern, value))


def _other_calls(node: ast.Call) -> Iterator[ast.AST]:
    name = getattr(node.func, "id", getattr(node.func, "attr", ""))
    if name in _OTHER_NAME:
        yield ast.Call(_renamed(node.func, _OTHER_NAME[name]), node.args, node.keywords)
    if (
        len(node.args) > 1
        and not any(isinstance(arg, ast.Starred) for arg in node.args[:2])
        and name not in ("isinstance", *_OTHER_NAME)
    ):
        yield ast.Call(node.func, [node.args[1], node.args[0], *node.args[2:]], node.keywords)


def _renamed(function: ast.expr, name: str) -> ast.expr:
    return ast.Attribute(function.value, name, ast.Load()) if isinstance(function, ast.Attribute) else ast.Name(name, ast.Load())

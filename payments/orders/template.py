"""What a merchant's template may say, checked when the switch starts. Pure.

A template is somebody else's program inside the switch, and one that runs cannot be stopped. So
only what is bounded is let in: the values that are given, a few filters, operators that make no
long text of a short one, and loops over what is given, none inside another. What is left takes a
number of steps that is known from reading it, and no filter takes or gives more than a screen or
two. Source: jinja2.nodes; start at :func:`compile_template`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from jinja2 import Template, TemplateError, TemplateRuntimeError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

TEMPLATE_CHARACTERS_MAX = 2000
VALUE_LENGTH_MAX = 2000
# A loop counts as this many turns: a text of 500 characters has no more lines.
LOOP_TURNS_MAX = 501
STEPS_MAX = 20_000
FILTER_STEPS = 10
DEPTH_MAX = 30

VALUES = frozenset({"order_no", "text", "lines", "amount", "due", "reference", "fields"})
LOOPED = ("lines", "fields")
FILTERS = (
    "capitalize",
    "default",
    "first",
    "join",
    "last",
    "length",
    "lower",
    "replace",
    "title",
    "trim",
    "truncate",
    "upper",
)
TESTS = ("defined", "even", "none", "odd", "undefined")
_STATEMENTS = (nodes.Output, nodes.TemplateData, nodes.If, nodes.For)
_EXPRESSIONS = (
    nodes.Add,
    nodes.And,
    nodes.Compare,
    nodes.Concat,
    nodes.CondExpr,
    nodes.Const,
    nodes.Filter,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Keyword,
    nodes.List,
    nodes.Name,
    nodes.Neg,
    nodes.Not,
    nodes.Operand,
    nodes.Or,
    nodes.Slice,
    nodes.Sub,
    nodes.Test,
    nodes.Tuple,
)
_ALLOWED = frozenset((*_STATEMENTS, *_EXPRESSIONS))


def _bounded(filter: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that takes and gives short values only; else the rendering fails."""

    @wraps(filter)
    def bounded(*arguments: Any, **named: Any) -> Any:
        for value in (*arguments, *named.values()):
            _check_length(value)
        result = filter(*arguments, **named)
        _check_length(result)
        return result

    return bounded


def _check_length(value: object) -> None:
    if isinstance(value, str | list | tuple | dict) and len(value) > VALUE_LENGTH_MAX:
        raise TemplateRuntimeError(f"a value of more than {VALUE_LENGTH_MAX} characters")


def _environment() -> ImmutableSandboxedEnvironment:
    made = ImmutableSandboxedEnvironment(autoescape=False)
    made.globals.clear()
    made.filters = {name: _bounded(made.filters[name]) for name in FILTERS}
    made.tests = {name: made.tests[name] for name in TESTS}
    return made


_ENVIRONMENT = _environment()


def compile_template(source: str) -> Template:
    """Read a template and compile it.

    Raises:
        ValueError: it is no template, too long, or holds what templates may not; the text names
            the line.
    """
    if len(source) > TEMPLATE_CHARACTERS_MAX:
        raise ValueError(f"more than {TEMPLATE_CHARACTERS_MAX} characters")
    try:
        tree = _ENVIRONMENT.parse(source)
        steps = sum(_steps(node, VALUES, 1) for node in tree.body)
        if steps > STEPS_MAX:
            reason = f"it could take {steps} steps, a loop counting {LOOP_TURNS_MAX} times"
            raise ValueError(f"{reason}; {STEPS_MAX} are allowed")
        return _ENVIRONMENT.from_string(tree)
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        raise ValueError(f"no template: {f'line {line}: ' if line else ''}{error}") from None
    except RecursionError:
        raise ValueError("no template: nested too deeply") from None


def _steps(node: nodes.Node, names: frozenset[str], depth: int) -> int:
    """How many steps a part of a template can take.

    Args:
        names: values that it can see.
        depth: how many parts it stands in, itself among them.

    Raises:
        ValueError: it is or holds something that is not allowed.
    """
    _check_node(node, names, depth)
    if isinstance(node, nodes.For):
        return _loop_steps(node, names, depth)
    own = FILTER_STEPS if isinstance(node, nodes.Filter) else 1
    return own + sum(_steps(child, names, depth + 1) for child in node.iter_child_nodes())


def _check_node(node: nodes.Node, names: frozenset[str], depth: int) -> None:
    def refuse(what: str) -> ValueError:
        return ValueError(f"line {node.lineno}: {what}")

    if type(node) not in _ALLOWED:
        raise refuse(f"{type(node).__name__} is not for templates of merchants")
    if depth > DEPTH_MAX:
        raise refuse(f"nested more than {DEPTH_MAX} deep")
    if isinstance(node, nodes.Name) and node.name not in names:
        raise refuse(f"no value {node.name!r}; there are {', '.join(sorted(names))}")
    if isinstance(node, nodes.Getattr) and not isinstance(node.node, nodes.Name):
        raise refuse(f"{node.attr!r} of something that is no value of its own")
    if isinstance(node, nodes.Filter | nodes.Test):
        known = FILTERS if isinstance(node, nodes.Filter) else TESTS
        if node.name not in known:
            raise refuse(f"no filter or test {node.name!r}; there are {', '.join(known)}")
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            raise refuse("arguments by * are not for templates of merchants")


def _loop_steps(node: nodes.For, names: frozenset[str], depth: int) -> int:
    looped = node.iter
    if isinstance(looped, nodes.Getitem) and isinstance(looped.arg, nodes.Slice):
        looped = looped.node
    whole = isinstance(looped, nodes.Name) and looped.name in LOOPED and looped.name in names
    if "loop" in names or node.recursive or not whole:
        what = f"a loop goes over {' or '.join(LOOPED)}, and not inside another"
        raise ValueError(f"line {node.lineno}: {what}")
    if not isinstance(node.target, nodes.Name) or node.target.name in VALUES:
        raise ValueError(f"line {node.lineno}: a loop has one name of its own")
    inner = names | {node.target.name, "loop"}
    turned = [*node.body, *([node.test] if node.test is not None else [])]
    once = sum(_steps(one, names, depth + 1) for one in (node.iter, *node.else_))
    turn = sum(_steps(one, inner, depth + 1) for one in turned)
    return once + LOOP_TURNS_MAX * (1 + turn)

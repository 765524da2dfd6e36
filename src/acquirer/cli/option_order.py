"""Options before or after the subcommand: each is brought to the command that has it.

``acquirer terminal sale --amount 1 --tid 10000001`` and ``acquirer journal --data shop list`` are
what people type; the parser wants an option right behind the command whose it is. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from typer.core import TyperGroup

END_OF_OPTIONS = "--"


class OrderlyGroup(TyperGroup):
    """The root of the commands."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the whole command line, brought into order."""
        return super().parse_args(ctx, in_order(self, args))


@dataclass(slots=True)
class _Called:
    """A command on the way to the one that is run, and the words that go to it."""

    command: Any
    name: str = ""
    words: list[str] = field(default_factory=list)


def in_order(root: Any, words: list[str]) -> list[str]:
    """The words with each option behind the command that has it.

    Where several on the way have one, the last of them gets it, which is the one that is run. What
    nobody has stays where it stands, for the parser to complain about.
    """
    chain = [_Called(root)]
    # Which command an option was written behind, and its words.
    options: list[tuple[int, list[str]]] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == END_OF_OPTIONS:
            chain[-1].words += [word, *rest]
            break
        if len(word) > 1 and word.startswith("-"):
            taken = [word]
            if "=" not in word and rest and _takes_value(chain, word):
                taken.append(rest.pop(0))
            options.append((len(chain) - 1, taken))
            chain[-1].words.append(_MARK)
            continue
        below = getattr(chain[-1].command, "commands", {}).get(word)
        if below is not None:
            chain.append(_Called(below, word))
        else:
            chain[-1].words.append(word)
    return _written(chain, options)


# Stands in a command's words where an option was written.
_MARK = "\0"


def _written(chain: list[_Called], options: list[tuple[int, list[str]]]) -> list[str]:
    moved: list[list[str]] = [[] for _ in chain]
    stays: list[list[list[str]]] = [[] for _ in chain]
    for at, taken in options:
        name = taken[0].partition("=")[0]
        owners = [n for n, called in enumerate(chain) if _option(called.command, name)]
        owner = owners[-1] if owners else at
        if owner == at:
            stays[at].append(taken)
        else:
            moved[owner] += taken
            stays[at].append([])
    found: list[str] = []
    for called, first, kept in zip(chain, moved, stays, strict=True):
        found += [called.name] if called.name else []
        found += first
        waiting = iter(kept)
        for word in called.words:
            found += next(waiting) if word == _MARK else [word]
    return found


def _option(command: Any, name: str) -> Any:
    for parameter in command.params:
        if name in (*parameter.opts, *parameter.secondary_opts):
            return parameter
    return None


def _takes_value(chain: list[_Called], word: str) -> bool:
    """Whether an option's value is the next word, by the commands so far, else by those below."""
    for called in reversed(chain):
        if found := _option(called.command, word):
            return not _is_flag(found)
    return any(
        not _is_flag(found)
        for command in _below(chain[-1].command)
        if (found := _option(command, word))
    )


def _is_flag(option: Any) -> bool:
    return bool(getattr(option, "is_flag", False) or getattr(option, "count", False))


def _below(command: Any) -> Iterator[Any]:
    for one in getattr(command, "commands", {}).values():
        yield one
        yield from _below(one)

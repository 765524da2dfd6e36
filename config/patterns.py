"""Regular expressions of the configuration, matched in a time that only grows with the text.

Python's own may go back and try again, for minutes with a pattern such as ``(a+)+b``, and nothing
else runs meanwhile. Here all that a pattern could mean is followed at once, so that no pattern
and no text stalls anybody. Only what describes a whole text is known: characters, classes such
as ``[0-9A-Z]`` and ``\\d``, groups, ``|``, and ``*``, ``+``, ``?``, ``{n}``, ``{n,}``, ``{n,m}``.
Source: K. Thompson, Regular Expression Search Algorithm, CACM 11 (1968).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

STATES_MAX = 1_000
KNOWN_MAX = 200

_CLASS = r"\[\^?\]?(?:\\.|[^\]\\])*\]"
_ATOM = re.compile(rf"{_CLASS}|\\[^0-9AbBZ]|[^\\()\[\]|*+?{{}}^$]", re.DOTALL)
_COUNT = re.compile(r"\*|\+|\?|\{([0-9]{1,4})(,?)([0-9]{0,4})\}")
_MOST = {"*": (0, None), "+": (1, None), "?": (0, 1)}


@dataclass(slots=True)
class _State:
    """One place in a pattern: what it takes, None for nothing, and where it goes on."""

    takes: re.Pattern[str] | None
    after: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Repeat:
    part: _Part
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class _OneOf:
    choices: list[list[_Part]]


_Part = re.Pattern[str] | _Repeat | _OneOf


class TextPattern:
    """A pattern of whole texts.

    >>> TextPattern("SP[0-9]{3,}|X").matches("SP2026"), TextPattern("(a+)+b").matches("a" * 5000)
    (True, False)
    """

    def __init__(self, source: str) -> None:
        """Read it.

        Raises:
            ValueError: it is none, holds what is not known here, or is too large.
        """
        self._source = source.removeprefix("^")
        if re.search(r"(?<!\\)(?:\\\\)*\$\Z", self._source):
            self._source = self._source[:-1]
        self._at = 0
        # The end is state 0; the text has matched where it is among those that it has led to.
        self._states = [_State(None, ())]
        self._next: dict[tuple[frozenset[int], str], frozenset[int]] = {}
        try:
            self._first = self._closed([self._add(self._read(), 0)])
        except RecursionError:
            raise ValueError("nested too deeply") from None

    def matches(self, text: str) -> bool:
        """Whether it describes the whole text."""
        states = self._first
        for character in text:
            if not states:
                return False
            states = self._step(states, character)
        return 0 in states

    # Reading.

    def _read(self) -> _OneOf:
        pattern = self._choices()
        if self._at < len(self._source):
            raise self._wrong("is not expected")
        return pattern

    def _choices(self) -> _OneOf:
        choices = [self._sequence()]
        while self._took("|"):
            choices.append(self._sequence())
        return _OneOf(choices)

    def _sequence(self) -> list[_Part]:
        parts: list[_Part] = []
        while self._at < len(self._source) and self._source[self._at] not in "|)":
            parts.append(self._counted(self._one()))
        return parts

    def _one(self) -> _Part:
        if self._took("("):
            if self._took("?") and not self._took(":"):
                raise self._wrong("is not known after (?")
            found = self._choices()
            if not self._took(")"):
                raise self._wrong("is not closed by )")
            return found
        atom = _ATOM.match(self._source, self._at)
        if atom is None:
            raise self._wrong("is not expected")
        try:
            taken = re.compile(atom[0], re.DOTALL)
        except re.error as error:
            raise ValueError(f"{atom[0]!r}: {error}") from None
        self._at = atom.end()
        return taken

    def _counted(self, part: _Part) -> _Part:
        count = _COUNT.match(self._source, self._at)
        if count is None:
            return part
        self._at = count.end()
        least, most = _MOST.get(count[0], (int(count[1] or 0), None))
        if count[1]:
            most = int(count[3]) if count[3] else None if count[2] else least
        if most is not None and most < least:
            raise ValueError(f"{count[0]!r}: the most is less than the least")
        return _Repeat(part, least, most)

    def _took(self, character: str) -> bool:
        found = self._source.startswith(character, self._at)
        self._at += found
        return found

    def _wrong(self, what: str) -> ValueError:
        return ValueError(f"{self._source[self._at :][:10]!r} at character {self._at + 1} {what}")

    # Making states, from the end to the beginning.

    def _add(self, part: _Part, after: int) -> int:
        if isinstance(part, _OneOf):
            return self._state(None, *(self._add_all(choice, after) for choice in part.choices))
        if isinstance(part, _Repeat):
            return self._add_repeat(part, after)
        return self._state(part, after)

    def _add_all(self, parts: list[_Part], after: int) -> int:
        for part in reversed(parts):
            after = self._add(part, after)
        return after

    def _add_repeat(self, repeat: _Repeat, after: int) -> int:
        at = after
        if repeat.most is None:
            at = self._state(None)
            self._states[at].after = (self._add(repeat.part, at), after)
        else:
            for _ in range(repeat.most - repeat.least):
                at = self._state(None, self._add(repeat.part, at), after)
        return self._add_all([repeat.part] * repeat.least, at)

    def _state(self, takes: re.Pattern[str] | None, *after: int) -> int:
        if len(self._states) == STATES_MAX:
            raise ValueError(f"it is larger than {STATES_MAX} characters written out")
        self._states.append(_State(takes, after))
        return len(self._states) - 1

    # Matching.

    def _closed(self, states: Iterable[int]) -> frozenset[int]:
        """The states, and those that are reached from them without taking anything."""
        reached, left = set[int](), list(states)
        while left:
            if (state := left.pop()) not in reached:
                reached.add(state)
                if self._states[state].takes is None:
                    left += self._states[state].after
        return frozenset(reached)

    def _step(self, states: frozenset[int], character: str) -> frozenset[int]:
        key = (states, character)
        found = self._next.get(key)
        if found is None:
            taking = (self._states[state] for state in states)
            found = self._closed(
                after
                for state in taking
                if state.takes is not None and state.takes.fullmatch(character)
                for after in state.after
            )
            if len(self._next) >= KNOWN_MAX:
                self._next.clear()
            self._next[key] = found
        return found

"""What can go wrong at a terminal, sorted by who must act. A decline is none of these.

No text holds a card number, a PIN or a key.
"""

from __future__ import annotations


class TerminalError(Exception):
    """Root of this folder's errors."""


class LocalRefusal(TerminalError):
    """The terminal itself refuses: not signed on, nothing to void, no order held."""


class EstateError(TerminalError):
    """The estate has no such terminal, card or courier; the text names those it has."""


class KeyCheckError(TerminalError):
    """Working keys whose check value does not fit: wrong master key or a damaged DE62."""


class LinkError(TerminalError):
    """The switch cannot be reached, or the connection broke before anything was sent."""


class StateFileError(TerminalError):
    """The state file cannot be read, written or locked; the operator must act."""


class ScenarioError(TerminalError):
    """A scenario file is wrong; the text names file, step and key."""

"""Who calls: the owner of the switch's file, or one of its operators by his own token. Pure.

Source: docs/configuration.md, "[[operators]]".
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import get_args

from acquirer.switch.settings import OperatorSettings, Role

OWNER_ROLES: frozenset[Role] = frozenset(get_args(Role))
OWNER = "cli"


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody whose token is right.

    Attributes:
        name: an operator's; of the file's owner ``cli:`` and the name of the machine's user.
    """

    name: str
    roles: frozenset[Role]


class Access:
    """Tells callers by what they present.

    Args:
        token: of the owner of the switch's file; empty lets nobody in.
    """

    def __init__(self, token: str, operators: Sequence[OperatorSettings] = ()) -> None:
        self._token = token
        self._operators = {operator.name: operator for operator in operators}

    def __bool__(self) -> bool:
        return bool(self._token or self._operators)

    def knows(self, authorization: str) -> bool:
        """Whether a header shows anybody's token."""
        return any(self.caller(authorization, by) for by in ("", *self._operators))

    def caller(self, authorization: str, by: str, user: str = "") -> Caller | None:
        """Whoever shows this header, or None where the token is not that of whom he says he is.

        Args:
            authorization: ``Bearer …``.
            by: an operator's name; empty for the file's owner.
            user: of the machine, as the owner's command says.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme != "Bearer":
            return None
        shown = token.encode("latin-1", "replace")
        if not by:
            if not self._token or not hmac.compare_digest(shown, self._token.encode()):
                return None
            return Caller(f"{OWNER}:{user}" if user else OWNER, OWNER_ROLES)
        operator = self._operators.get(by)
        expected = operator.token_sha256 if operator else ""
        if not hmac.compare_digest(sha256(shown).hexdigest(), expected) or operator is None:
            return None
        return Caller(operator.name, frozenset(operator.roles))

"""Authorised activities: what a host may ask only after an operator has allowed it.

Named as at a payShield's console: ``category.sub-category.interface`` and, after ``:``, the
minutes for which it is allowed. ``export.001.host`` lets hosts export ZPKs; what is left out from
the right stands for all, so that ``export`` lets them export any key. Sub-categories of key
activities are key type codes, or usages under a key block LMK; of ``command`` command codes.
Source: payShield practice (console commands A and C); key type tables of public implementations.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Literal, get_args

from acquirer.hsm_sim.errors import HsmConfigError

Category = Literal["generate", "component", "import", "export", "command", "pin", "diag"]
CATEGORIES: tuple[Category, ...] = get_args(Category)

_NAME = re.compile(r"([a-z]+)(?:\.(?!host)([0-9A-Z]{2,5}))?(\.host)?(?::([1-9][0-9]{0,4}))?", re.I)
_SUB_CATEGORIES = {
    "generate": "[0-9A-Z]{2,3}",
    "component": "[0-9A-Z]{2,3}",
    "import": "[0-9A-Z]{2,3}",
    "export": "[0-9A-Z]{2,3}",
    "command": "M[24]|BG|BW|LO|QK",
    "pin": "CLEAR",
    "diag": "",
}

FREE_IMPORTS = frozenset(("001", "008", "72", "P0", "M0", "M1", "M3", "M5", "M6"))
"""Key types and usages that come in from under a ZMK unasked: ZPK and ZAK, a link's own keys."""
RESTRICTED_KEYS = frozenset(("000", "52", "54", "K0", "K1"))
"""Key types and usages that are made only if that is authorised: those that protect others."""
STORAGE_KEYS = frozenset(("00B", "21"))
"""Data keys of the host's own, DEKs: what is under them is deciphered unasked."""


class Activities:
    """What is authorised now.

    Args:
        now: monotonic seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._until: dict[tuple[str, str], float] = {}

    def authorise(self, names: Iterable[str]) -> None:
        """Allow activities.

        Raises:
            HsmConfigError: a name is none; nothing has been allowed then.
        """
        self._until |= {key: self._now() + seconds for key, seconds in map(parsed, names)}

    def cancel(self, names: Iterable[str] = ()) -> None:
        """Take activities back, by the names by which they were allowed; all where none is given.

        Raises:
            HsmConfigError: a name is none.
        """
        cancelled = [key for key, _ in map(parsed, names)] or list(self._until)
        for key in cancelled:
            self._until.pop(key, None)

    def allow(self, category: Category, sub: str) -> bool:
        """Whether an activity is allowed now."""
        if not self._until:
            return False
        until = max(self._until.get((category, name), -math.inf) for name in (sub, ""))
        return self._now() < until

    def names(self) -> list[str]:
        """What is allowed now, with the minutes that are left."""
        now, shown = self._now(), []
        for (category, sub), until in sorted(self._until.items()):
            if until > now:
                left = "" if until == math.inf else f":{math.ceil((until - now) / 60)}"
                shown.append(f"{category}{'.' + sub if sub else ''}.host{left}")
        return shown


def parsed(name: str) -> tuple[tuple[str, str], float]:
    """An activity's name taken apart.

    Returns:
        Category and sub-category, the latter empty for all, and the seconds it is allowed for.

    Raises:
        HsmConfigError: it is no name of an activity.

    >>> parsed("export.001.host"), parsed("import.00b:30"), parsed("command")
    ((('export', '001'), inf), (('import', '00B'), 1800.0), (('command', ''), inf))
    """
    found = _NAME.fullmatch(name.strip())
    category = found[1].lower() if found else ""
    sub = (found[2] or "").upper() if found else ""
    pattern = _SUB_CATEGORIES.get(category)
    if found is None or pattern is None or (sub and not re.fullmatch(pattern, sub)):
        raise HsmConfigError(
            f"{name!r} is no activity: name one as export.001.host, import.402.host:30 or "
            f"export; the categories are {', '.join(CATEGORIES)}"
        )
    return (category, sub), 60.0 * int(found[4]) if found[4] else math.inf

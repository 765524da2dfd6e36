"""What terminal side, workers and operators use: the ports of payments, and what is behind.

Composed once in ``app.py``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from acquirer.ledger.book import Book
from acquirer.payments.kernel.ports import Ports
from acquirer.routing.banks.banks import Banks
from acquirer.routing.orders.client import OrderSystems
from acquirer.switch.hsm.client import Hsm
from acquirer.switch.settings import LimitSettings
from acquirer.switch.steady_clock import SteadyClock
from acquirer.switch.terminals.at_once import AtOnce
from acquirer.switch.terminals.terminals import Snapshot, Terminals


@dataclass(frozen=True, slots=True)
class Context:
    """One switch.

    Attributes:
        ports: what handlers may use.
        current: business configuration and terminals as they are now; whoever does something by
            them takes them once, when he begins.
        may_make_keys: whether a terminal's keys may be made for one more sign-on of an address.
        at_once: what each terminal has under way.
    """

    ports: Ports
    current: Callable[[], Snapshot]
    book: Book
    hsm: Hsm
    banks: Banks
    orders: OrderSystems
    terminals: Terminals
    clock: SteadyClock
    limits: LimitSettings
    may_make_keys: Callable[[str], Awaitable[bool]]
    at_once: AtOnce

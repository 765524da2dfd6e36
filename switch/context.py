"""What terminal side, workers and operators use: the ports of payments, and what is behind.

Composed once in ``app.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from acquirer.ledger.book import Book
from acquirer.payments.kernel.ports import Ports
from acquirer.routing.banks.banks import Banks
from acquirer.routing.orders.client import OrderSystems
from acquirer.switch.hsm.client import Hsm
from acquirer.switch.settings import LimitSettings
from acquirer.switch.steady_clock import SteadyClock
from acquirer.switch.terminals.rate_limit import RateLimit
from acquirer.switch.terminals.terminals import Snapshot, Terminals


@dataclass(frozen=True, slots=True)
class Context:
    """One switch.

    Attributes:
        ports: what handlers may use.
        current: business configuration and terminals as they are now; whoever does something by
            them takes them once, when he begins.
        sign_ons: how many terminals' keys are made for one address.
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
    sign_ons: RateLimit

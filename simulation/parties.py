"""Who there is on a simulated day: couriers, orders, and how the switch is set up for it.

The estate is the demo's. The seed draws the orders, and over how many links, by which strategy,
the switch reaches its bank.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from acquirer.config.business import TerminalSettings
from acquirer.config.estate import Courier, Estate, Order, Terminal, load_estate
from acquirer.hsm_sim.operator import variant_test_lmk, wrap_key
from acquirer.payments.kernel.stand_in import StandInRule
from acquirer.payments.kernel.vault import data_key_with_check
from acquirer.routing.settings import LinkSettings
from acquirer.simulation.day import Day
from acquirer.simulation.module import HEADER_LENGTH, new_module
from acquirer.simulation.operator import TOKEN
from acquirer.simulation.provision import BankChoice, switch_config
from acquirer.switch.hsm.client import DEK, Hsm
from acquirer.switch.hsm.transport import InProcessTransport
from acquirer.switch.settings import SwitchSettings
from acquirer.terminals_sim.identity import Identity

ORDERS_A_MERCHANT = 14
LINKS = (1, 1, 2, 3)
# On so many days the last terminals are those of the rarer key schemes.
SHARE_OF_SCHEMES = 0.1
RARE_PROFILES = frozenset({"cup-tracks", "single", "cmac", "dukpt-tdes", "dukpt-aes"})
CROWD_TERMINAL = "10009999"
GB18030 = Path(__file__).with_name("gb18030.toml")
STAND_IN = StandInRule(
    floor_limit_minor=5_000, known_cards_only=False, daily_amount_max_minor=12_000
)


@lru_cache(maxsize=1)
def couriers() -> tuple[Courier, ...]:
    """One courier for each terminal, so that each can be paid orders at."""
    return tuple(
        Courier(f"S{terminal.terminal_id}", terminal.merchant_id, terminal.terminal_id[-6:])
        for terminal in load_estate().terminals
    )


def estate_of(day: Day) -> Estate:
    """The demo estate with couriers and orders of the day."""
    draw = day.draw("orders")
    estate = load_estate()
    orders = []
    for merchant in estate.merchants:
        for number in range(ORDERS_A_MERCHANT):
            is_free = draw.random() < 0.2
            orders.append(
                Order(
                    order_no=f"{merchant.mcc}{number:04d}",
                    merchant_id=merchant.merchant_id,
                    amount_minor=0 if is_free else draw.randint(1, 20_000),
                    pay_ways="3" if is_free else draw.choice(("1", "12", "12", "2")),
                    text="Parcel",
                )
            )
    return msgspec.structs.replace(estate, couriers=list(couriers()), orders=orders)


def terminals_of(day: Day) -> list[Terminal]:
    """Who plays: the estate's first terminals, on some days with one of each rarer key scheme."""
    terminals = load_estate().terminals
    first = terminals[: day.terminals]
    rare = [terminal for terminal in terminals if terminal.profile in RARE_PROFILES]
    kept = day.terminals - len(rare)
    if kept > 0 and day.draw("schemes").random() < SHARE_OF_SCHEMES:
        return first[:kept] + rare
    return first


def settings_of(day: Day, drawn: Collection[str]) -> SwitchSettings:
    """The switch's configuration, with as many links to the bank as the seed says.

    Args:
        day: the day.
        drawn: its kinds of faults. Where the bank goes away, the switch stands in for it; where
            it writes what nobody can read, the switch reads texts in another character set.
            Where the books are away, a terminal more has a crowd at it.
    """
    settings, draw = _settings(), day.draw("links")
    if "bank_refuses" in drawn:
        settings = msgspec.structs.replace(settings, stand_in=[STAND_IN])
    if "books_away" in drawn:
        terminals = [*settings.terminals, _crowd_terminal()]
        settings = msgspec.structs.replace(settings, terminals=terminals)
    if "bank_garbles" in drawn and day.draw("dialect").random() < 0.5:
        (bank,) = settings.banks
        gb18030 = msgspec.structs.replace(bank, dialect=str(GB18030))
        settings = msgspec.structs.replace(settings, banks=[gb18030])
    count, strategy = draw.choice(LINKS), draw.choice(("priority", "weighted", "round_robin"))
    if count == 1:
        return settings
    (bank,) = settings.banks
    links = [LinkSettings(f"{bank.name}{n}", bank.address, priority=n) for n in range(count)]
    linked = msgspec.structs.replace(bank, address="", links=links, strategy=strategy)
    return msgspec.structs.replace(settings, banks=[linked])


def crowd_identity() -> Identity:
    """The terminal that has a crowd at it."""
    terminal = load_estate().terminals[0]
    return Identity(CROWD_TERMINAL, terminal.merchant_id, bytes.fromhex(terminal.tmk))


def _crowd_terminal() -> TerminalSettings:
    first = _settings().terminals[0]
    return msgspec.structs.replace(first, terminal_id=CROWD_TERMINAL)


@lru_cache(maxsize=1)
def _settings() -> SwitchSettings:
    """The switch's configuration: that of ``acquirer up``, with zone security."""
    estate = msgspec.structs.replace(load_estate(), couriers=list(couriers()))
    lmk = variant_test_lmk(test_lmk=True)
    dek = wrap_key(lmk, DEK, bytes(range(1, 17)), "U")
    document = switch_config(
        estate,
        pos="switch:1",
        http="switch:2",
        hsm="module:1",
        bank="bank:1",
        orders="http://orders:1",
        choice=BankChoice(security="zone"),
        database_url="sqlite://",
        data_key={"data_key": _data_key(dek), "data_key_dek": dek},
    )
    return msgspec.convert({**document, "operator_token": TOKEN}, SwitchSettings)


def _data_key(dek: str) -> str:
    module = new_module(Random(0))
    hsm = Hsm(InProcessTransport(module.execute, HEADER_LENGTH))
    sealed: bytes = _trio_free(hsm.encipher, dek, data_key_with_check(bytes(range(32))))
    return sealed.hex().upper()


def _trio_free(call: Callable[..., Any], *arguments: Any) -> Any:
    """The result of an async function that never waits."""
    try:
        call(*arguments).send(None)
    except StopIteration as done:
        return done.value
    raise RuntimeError("it waited")

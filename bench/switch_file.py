"""The switch's configuration for a measurement: SQLite, a security module in its own process."""

from __future__ import annotations

import os
from typing import Any

import trio

from acquirer.config.estate import Estate
from acquirer.hsm_sim.configuration import HsmTable
from acquirer.payments.kernel.vault import data_key_with_check
from acquirer.simulation.provision import HEADER_LENGTH, BankChoice, switch_config
from acquirer.switch.hsm.client import DEK, Hsm
from acquirer.switch.hsm.transport import InProcessTransport

NOBODY = "127.0.0.1:1"
CONNECTIONS_MAX = 10_000


def bench_switch(estate: Estate, bank: str, orders: str = NOBODY) -> dict[str, Any]:
    """The document.

    Args:
        estate: whose keys go under the test LMK.
        bank: ``host:port`` of the bank core.
        orders: ``host:port`` of the order system.
    """
    document = switch_config(
        estate,
        pos="127.0.0.1:0",
        http="127.0.0.1:0",
        hsm="127.0.0.1:0",
        bank=bank,
        orders=f"http://{orders}",
        choice=BankChoice(bank, "iso87_ascii", "none", 15.0),
        database_url="sqlite:///switch.sqlite3",
        data_key=_data_key(),
    )
    # All terminals of a measurement have one address.
    document["limits"] = {
        "connections_max": CONNECTIONS_MAX,
        "per_address_max": CONNECTIONS_MAX,
        "in_flight_max": CONNECTIONS_MAX,
        "sign_ons_per_minute": 100 * CONNECTIONS_MAX,
    }
    document["hsm"] = {
        "transport": "in_process",
        "header_length": HEADER_LENGTH,
        "test_lmk": True,
    }
    return document


def _data_key() -> dict[str, str]:
    table = HsmTable(listen="127.0.0.1:0", header_length=HEADER_LENGTH, test_lmk=True)

    async def make() -> dict[str, str]:
        hsm = Hsm(InProcessTransport(table.module().execute, HEADER_LENGTH))
        dek = await hsm.generate_key(DEK)
        return {
            "data_key": (await hsm.encipher(dek, data_key_with_check(os.urandom(32))))
            .hex()
            .upper(),
            "data_key_dek": dek,
        }

    return trio.run(make)

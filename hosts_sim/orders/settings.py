"""The order system simulator's configuration file as typed values.

Orders and webhook secrets come from the estate, which holds test data only. Rules make the
simulator fail in a chosen way.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from acquirer.config.constraints import NotNegative, NotNegativeSeconds, Positive
from acquirer.config.loading import load

Fault = Literal[
    "delay",
    "down",
    "silence",
    "lost_answer",
    "wrong_amount",
    "wrong_order",
    "wrong_currency",
    "garbage",
    "oversize",
]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[rules]]`` entry; the first that matches counts.

    Attributes:
        fault: ``delay`` answers late, ``down`` answers 503, ``silence`` does nothing and never
            answers, ``lost_answer`` does what is asked and then closes without an answer. The
            others spoil the answer to a query: its amount, order number, currency, JSON, size.
        on: which requests; one that opens an order is a query.
        merchant_id: whose orders; empty for all.
        order_no_pattern: regular expression that the whole order number matches; empty for all.
        delay_s: for ``delay``.
        times: how many requests it takes in all; 0 means without end.
    """

    fault: Fault
    on: Literal["query", "events", "both"] = "both"
    merchant_id: str = ""
    order_no_pattern: str = ""
    delay_s: NotNegativeSeconds = 1.0
    times: NotNegative = 0

    def __post_init__(self) -> None:
        try:
            re.compile(self.order_no_pattern)
        except re.error as error:
            raise ValueError(f"order_no_pattern is no regular expression: {error}") from None


class IsoSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ISO 8583 port of the same order system.

    Attributes:
        listen: ``host:port``; port 0 takes a free one.
        dialect: a shipped dialect or the path of a dialect file.
        security: ``zone`` for MACs and key exchange under the zone master key of the estate's first
            bank, ``none`` for neither.
        mac: the MAC's algorithm in ``zone``.
    """

    listen: str = "127.0.0.1:0"
    dialect: str = "order_host"
    security: Literal["none", "zone"] = "none"
    mac: Literal["x919", "x99", "cmac"] = "x919"


class OrderSimSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file.

    Attributes:
        listen: ``host:port``; port 0 takes a free one.
        data: folder of the books.
        estate: path of the estate file; empty takes the shipped demo estate.
        max_age_s: for how long the switch may use an answer again.
        secrets: further webhook secrets by merchant id, good beside the estate's.
        connections_max: connections at once; more wait to be accepted.
        idle_s: a connection without a whole request for so long is closed.
        iso: a port for ISO 8583 beside that for HTTP.
    """

    listen: str = "127.0.0.1:0"
    data: str = "order-sim"
    estate: str = ""
    max_age_s: NotNegative = 0
    secrets: dict[str, list[str]] = {}
    connections_max: Positive = 256
    idle_s: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    rules: list[Rule] = []
    iso: IsoSettings | None = None


def load_settings(path: str | Path) -> OrderSimSettings:
    """Read a settings file; relative paths in it are relative to the file.

    Raises:
        ConfigError: the file cannot be used.
    """
    settings = load(path, OrderSimSettings)
    folder = Path(path).resolve().parent
    estate = str(folder / settings.estate) if settings.estate else ""
    return msgspec.structs.replace(settings, data=str(folder / settings.data), estate=estate)

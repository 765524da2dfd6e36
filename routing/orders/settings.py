"""Which order system serves which order: settings and the choice among several. Pure.

Read from the switch's configuration file by the composition root; the first system in the file
that serves both the merchant and the order number is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import urlsplit

import msgspec

from acquirer.config.constraints import NotNegativeSeconds, Positive, PositiveSeconds
from acquirer.config.patterns import TextPattern
from acquirer.routing.orders.errors import OrderSettingsError
from acquirer.routing.orders.messages import whole_of


class OrderSystemSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One merchant order system.

    Attributes:
        name: for logs and metrics.
        url: ``http://`` or ``https://``, host, optional port and path prefix; or
        host: the order host (``order_hosts``) that answers for it over ISO 8583. One of the two.
        merchants: merchant ids that it serves; empty for all.
        order_no_pattern: regular expression (``config/patterns.py``) that the whole order number
            must match; empty for all.
        timeout_s: how long a query or an event may take.
        cache_s: upper bound of the time that an answer is used again; the merchant's own
            ``max_age_s`` may only shorten it.
        connections_max: connections kept open at most, for queries and events together.
    """

    name: str
    url: str = ""
    host: str = ""
    merchants: list[str] = []
    order_no_pattern: str = ""
    timeout_s: PositiveSeconds = 5.0
    cache_s: NotNegativeSeconds = 60.0
    connections_max: Positive = 32

    def __post_init__(self) -> None:
        try:
            _compiled(self.order_no_pattern)
        except ValueError as error:
            raise ValueError(f"order_no_pattern is no regular expression: {error}") from None
        if bool(self.url) == bool(self.host):
            raise ValueError("an order system has either url or host")
        if self.url:
            parse_origin(self.url)


class Origin(msgspec.Struct, frozen=True):
    """Where a system listens; ``prefix`` is a path without a slash at its end."""

    tls: bool
    host: str
    port: int
    prefix: str

    @property
    def authority(self) -> str:
        """The ``Host`` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


def parse_origin(url: str) -> Origin:
    """Cut a URL into what a connection needs.

    Raises:
        OrderSettingsError: it is no http or https URL, or it holds a user, a query or a fragment.

    >>> parse_origin("http://127.0.0.1:8080/api/").prefix
    '/api'
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise OrderSettingsError("an order system's url cannot be read") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise OrderSettingsError(
            "an order system's url must begin with http:// or https:// and a host"
        )
    if parts.username or parts.query or parts.fragment or not url.isascii() or " " in url:
        raise OrderSettingsError("an order system's url may hold no user, query, fragment or blank")
    tls = parts.scheme == "https"
    return Origin(tls, parts.hostname, port or (443 if tls else 80), parts.path.rstrip("/"))


def choose_system(
    systems: Sequence[OrderSystemSettings], merchant_id: str, order_no: str
) -> int | None:
    """Index of the first system that serves the order, or a part of it; or None."""
    for index, system in enumerate(systems):
        if system.merchants and merchant_id not in system.merchants:
            continue
        if fits(system.order_no_pattern, order_no):
            return index
    return None


def fits(pattern: str, order_no: str) -> bool:
    """Whether a pattern is empty, or that of an order number or of the order that it is a part of.

    >>> fits("SP[0-9]+", "SP17/2"), fits("SP[0-9]+", "CM17")
    (True, False)
    """
    if not pattern:
        return True
    compiled = _compiled(pattern)
    return compiled.matches(order_no) or compiled.matches(whole_of(order_no) or order_no)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> TextPattern:
    return TextPattern(pattern)

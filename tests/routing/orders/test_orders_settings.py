"""The choice among several order systems, and settings that cannot be."""

import msgspec
import pytest

from acquirer.routing.orders.settings import OrderSystemSettings, choose_system, parse_origin

SYSTEMS = [
    OrderSystemSettings("parcel", "http://a", merchants=["m1"], order_no_pattern="SP[0-9]+"),
    OrderSystemSettings("insurer", "http://b", order_no_pattern="P-[0-9]{4}"),
    OrderSystemSettings("market", "http://c", merchants=["m1", "m2"]),
]


@pytest.mark.parametrize(
    ("merchant_id", "order_no", "expected"),
    [
        ("m1", "SP12", 0),
        ("m1", "SP12x", 2),
        ("m2", "SP12", 2),
        ("m3", "P-0001", 1),
        ("m2", "P-0001", 1),
        ("m3", "SP12", None),
    ],
)
def test_the_first_system_that_serves_merchant_and_number(
    merchant_id: str, order_no: str, expected: int | None
) -> None:
    """Merchants and pattern must both fit; the file's order decides."""
    assert expected == choose_system(SYSTEMS, merchant_id, order_no)


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "ftp://host"},
        {"url": "http://"},
        {"url": "http://user:secret@host"},
        {"url": "http://host/?q=1"},
        {"url": "http://host:99999"},
        {"url": "http://[::1"},
        {"url": "http://host/a b"},
        {"url": ""},
        {"host": "orders"},
        {"order_no_pattern": "("},
        {"timeout_s": 0.0},
        {"connections_max": 0},
        {"colour": "red"},
    ],
)
def test_settings_that_cannot_be_are_refused_when_read(wrong: dict[str, object]) -> None:
    """The composition root sees a validation error, without the value."""
    settings = {"name": "a", "url": "http://host"} | wrong
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(settings, OrderSystemSettings)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "authority", "prefix"),
    [
        ("http://host", "host", ""),
        ("http://host:80/", "host", ""),
        ("https://host/api/v1/", "host", "/api/v1"),
        ("https://host:80", "host:80", ""),
        ("http://[::1]:8080", "[::1]:8080", ""),
    ],
)
def test_a_url_gives_host_header_and_prefix(url: str, authority: str, prefix: str) -> None:
    """Default ports are left out, as RFC 9110 wants it."""
    origin = parse_origin(url)
    assert (authority, prefix) == (origin.authority, origin.prefix)

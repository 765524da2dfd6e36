"""Which replies ask a terminal for the confirmation of an order payment."""

from types import SimpleNamespace
from typing import Any, cast

from origins import an_origin

from acquirer.codecs.de59 import De59
from acquirer.codecs.message import Message
from acquirer.codecs.private_fields import De60, De61
from acquirer.switch.terminals.open_payments import OPEN_MAX, OpenPayments
from acquirer.switch.terminals.request import Request

TERMINAL = "10000001"


def request(stan: str, order_no: str = "A1", named: str = "") -> Request:
    """A request of one terminal, as far as is looked at."""
    fields = {11: stan, 59: De59.build({"ON": order_no}).hex}
    if named:
        fields[61] = De61("000001", named, "1121").format()
    terminal = SimpleNamespace(terminal_id=TERMINAL, profile=SimpleNamespace(encoding="gb18030"))
    return Request(
        Message("0200", fields),
        De60("72", "000001", "000"),
        cast(Any, terminal),
        cast(Any, None),
        an_origin(stan=stan),
        De59.build({"ON": order_no}),
    )


def test_every_reply_but_the_payments_own_asks() -> None:
    """The payment's own answer, and its repeat, ask nothing."""
    payments = OpenPayments()
    payments.note("order_payment", request("000001"), "00")
    assert not payments.asks(TERMINAL, "000001", "000001")
    assert payments.asks(TERMINAL, "000001", "000002")
    assert not payments.asks("10000002", "000001", "000002")


def test_a_declined_payment_opens_nothing() -> None:
    """Only approvals wait for a confirmation."""
    payments = OpenPayments()
    payments.note("order_payment", request("000001"), "51")
    assert not payments.asks(TERMINAL, "000001", "000002")


def test_what_ends_a_payment_ends_the_asking() -> None:
    """Confirmation, cancellation, reversal and receipt each close it."""
    ends = (
        ("order_confirmation", request("000002", named="000001")),
        ("order_cancellation", request("000002", named="000001")),
        ("reversal", request("000001")),
        ("receipt_confirmation", request("000002")),
    )
    for transaction, ending in ends:
        payments = OpenPayments()
        payments.note("order_payment", request("000001"), "00")
        payments.note(transaction, ending, "00")
        assert not payments.asks(TERMINAL, "000001", "000009"), transaction


def test_it_remembers_a_bounded_number() -> None:
    """The oldest is forgotten here; the books still find it."""
    payments = OpenPayments()
    for stan in range(OPEN_MAX + 1):
        payments.note("order_payment", request(f"{stan:06d}"), "00")
    payments.note("reversal", request("000000"), "00")
    assert payments.asks(TERMINAL, "000001", "000000")

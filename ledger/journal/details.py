"""What an entry of one kind knows beside what every entry has, as a typed value.

The database keeps it as JSON with its tag; an entry whose kind needs nothing more has none.
"""

from __future__ import annotations

import msgspec


class HandIn(msgspec.Struct, frozen=True, tag="hand_in"):
    """A courier's cash was counted at a station.

    Attributes:
        expected_minor: what he should have had, minor units; the entry's amount is what he had.
        station: where.
    """

    expected_minor: int
    station: str


class WriteOff(msgspec.Struct, frozen=True, tag="write_off"):
    """A message that a bank never took was given up.

    Attributes:
        by: the operator's name.
        reason: in his words.
    """

    by: str
    reason: str


class OrderException(msgspec.Struct, frozen=True, tag="order_exception"):
    """An order could not be delivered.

    Attributes:
        reason: ``OX`` of the terminal interface.
        note: free text of the courier.
    """

    reason: str
    note: str = ""


class Refund(msgspec.Struct, frozen=True, tag="refund"):
    """A card gets money back beside its payment.

    Attributes:
        reason: the code with which the bank refused the void, or 06.
        fee_minor: what of the payment's fee goes back with it, minor units.
    """

    reason: str
    fee_minor: int


class GroupPayment(msgspec.Struct, frozen=True, tag="group_payment"):
    """One swipe pays several orders.

    Attributes:
        order_nos: in the order of their shares.
    """

    order_nos: tuple[str, ...]


class Share(msgspec.Struct, frozen=True, tag="share"):
    """One order's share of a swipe.

    Attributes:
        place: among the shares, from 1.
    """

    place: int


Detail = HandIn | WriteOff | OrderException | Refund | GroupPayment | Share

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Detail).decode


def detail_text(detail: Detail | None) -> str:
    """A detail as the database keeps it; empty where there is none.

    >>> detail_text(Share(2))
    '{"type":"share","place":2}'
    """
    return "" if detail is None else _encode(detail).decode()


def detail_of(text: str) -> Detail | None:
    """The detail of a stored text.

    Raises:
        msgspec.ValidationError: it is none that this program knows.
    """
    return _decode(text) if text else None

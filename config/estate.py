"""The demo estate: terminals, merchants, cards, couriers and orders that exist for tests.

The only place where clear test keys, test PINs and test card numbers may stand. The switch never
reads it: ``acquirer up`` turns it into the switch's own configuration, with keys under the LMK.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from acquirer.config.business import InstalmentPlanSettings
from acquirer.config.constraints import (
    BasisPoints,
    Days,
    NotNegative,
    Percent,
    Positive,
    PositiveSeconds,
)
from acquirer.config.loading import load

Tmk = Annotated[str, msgspec.Meta(pattern=r"^([0-9A-Fa-f]{16}|[0-9A-Fa-f]{32})?\Z")]
DoubleKey = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Fa-f]{32}\Z")]


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a kind of terminal talks.

    Attributes:
        name: how terminals name it.
        key_scheme: ``tmk`` for session keys under a terminal master key; ``dukpt_tdes``,
            ``dukpt_aes`` for a key of its own for each message.
        mac: DE64's algorithm under ``tmk``; derived keys have X9.19 under TDES, CMAC under AES.
        encoding: Python name of the character set of texts.
        mac_key: length of the MAC key that sign-on 003 and 004 hand out.
        settlement_mac: whether settlement and batch upload carry a MAC.
        batch_days: age of a batch, in days, at which it is closed without its terminal.
        sign_on: 60.3 of its terminals' sign-on; 004 brings a key under which they encipher tracks.
        bdk: the clear test base key that keys are derived from, 32 hexadecimal digits.
        no_pin_minor: the most that a contactless card pays without a PIN, minor units; None where
            nobody asks.
    """

    name: str
    key_scheme: Literal["tmk", "dukpt_tdes", "dukpt_aes"] = "tmk"
    mac: Literal["cup_ecb", "x919", "cmac"] = "cup_ecb"
    encoding: str = "gb18030"
    mac_key: Literal["single", "double"] = "double"
    sign_on: Literal["001", "003", "004"] = "003"
    bdk: Annotated[str, msgspec.Meta(pattern=r"^([0-9A-Fa-f]{32})?\Z")] = ""
    settlement_mac: bool = False
    batch_days: Positive = 7
    no_pin_minor: NotNegative | None = None


class Terminal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A terminal.

    Attributes:
        terminal_id: DE41.
        merchant_id: DE42.
        tmk: its clear test key, 32 hexadecimal digits, or 16 where it is of single length; empty
            where keys are derived.
        profile: how it talks.
        ksn: where keys are derived, its key serial number with counter zero.
    """

    terminal_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z]{8}\Z")]
    merchant_id: str
    tmk: Tmk = ""
    profile: str = "cup"
    ksn: Annotated[str, msgspec.Meta(pattern=r"^([0-9A-Fa-f]{20}|[0-9A-Fa-f]{24})?\Z")] = ""


class Merchant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A merchant.

    Attributes:
        merchant_id: DE42.
        name: for people.
        mcc: merchant category code, four digits.
        event_secret: signs what its order system is told, whsec_ and base64 of 24 to 64 bytes.
        currency_code: ISO 4217 number.
        mdr_basis_points: the fee on a card payment, in hundredths of a percent.
        cod_basis_points: the fee on an order paid in cash.
        cod_fixed_minor: added to that, minor units.
        order_text: Jinja2 template of what terminals show of an order; empty shows its own text.
        ask: what a courier must key in before a payment.
        order_host: whether its order system speaks ISO 8583.
        part_payment: whether its order system lets an order be paid in parts.
        refund_fee, refund, blind_refund, refund_days, debt_limit_minor, offline_sale: as of the
            switch's file.
        keyed, moto, plans, fallback: likewise.
        preauth_days, completion_over_percent, tip_percent_max: as of the switch's file.
    """

    merchant_id: str
    name: str
    mcc: str
    mdr_basis_points: BasisPoints
    event_secret: str
    currency_code: str = "156"
    cod_basis_points: BasisPoints = 0
    cod_fixed_minor: NotNegative = 0
    order_text: str = ""
    ask: list[str] = []
    order_host: bool = False
    part_payment: bool = False
    refund_fee: Literal["return", "keep"] = "keep"
    refund: bool = False
    blind_refund: bool = False
    refund_days: NotNegative = 90
    offline_sale: bool = False
    keyed: bool = False
    moto: bool = False
    plans: list[str] = []
    preauth_days: Days = 30
    completion_over_percent: Percent = 15
    tip_percent_max: Percent = 0
    fallback: bool = False
    debt_limit_minor: NotNegative = 0


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A test card.

    Attributes:
        name: how commands call it.
        pan: its number, made up; the last digit is the Luhn digit.
        expiry: YYMM.
        service_code: of track 2.
        pin: what the customer types; none where it is empty.
        balance_minor: what its bank has of it at first, minor units.
        status: empty for a good card.
        cvn2: what is printed beside its number; none where it is empty.
        icc_mk: its issuer's clear test key for chip cryptograms (MK-AC), 32 hexadecimal digits;
            empty for a card whose cryptograms nobody checks.
        psn: the number of its chip's application.
        cvn: version of its cryptograms: 10 under the card's own key, 18 under session keys.
    """

    name: str
    pan: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{8,19}\Z")]
    expiry: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{2}(0[1-9]|1[0-2])\Z")]
    service_code: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{3}\Z")] = "101"
    pin: Annotated[str, msgspec.Meta(pattern=r"^([0-9]{4,12})?\Z")] = ""
    balance_minor: NotNegative = 0
    status: Literal["", "lost", "stolen", "restricted", "closed"] = ""
    cvn2: Annotated[str, msgspec.Meta(pattern=r"^([0-9]{3})?\Z")] = ""
    icc_mk: Annotated[str, msgspec.Meta(pattern=r"^([0-9A-Fa-f]{32})?\Z")] = ""
    psn: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{2}\Z")] = "01"
    cvn: Literal[10, 18] = 10

    @property
    def has_chip(self) -> bool:
        """Whether its service code says so."""
        return self.service_code[0] in "26"

    @property
    def track2(self) -> str:
        """Track 2 as DE35 carries it, with ``D`` for the separator."""
        return f"{self.pan}D{self.expiry}{self.service_code}0000000000"[:37]

    def __repr__(self) -> str:
        return f"Card({self.name!r})"


class OrderType(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of order, such as a utility bill, chosen by merchant and order number.

    Attributes:
        name: for people.
        merchants: whose orders; empty for all.
        order_no_pattern: regular expression of the whole order number; empty for all.
        text: Jinja2 template of what terminals show.
        ask: what must be keyed in before a payment.
        cancel_within_s: age up to which a payment may be cancelled; None for any.
        product: what of a shop's it is; empty for an order that exists before it is asked for.
    """

    name: str
    merchants: list[str] = []
    order_no_pattern: str = ""
    text: str = ""
    ask: list[str] = []
    cancel_within_s: PositiveSeconds | None = None
    product: Literal["", "sale", "stock_in", "count", "item", "takings"] = ""


class Courier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A courier.

    Attributes:
        courier_id: how terminals call him.
        merchant_id: whose orders.
        password: the clear numeric test password, 4 to 12 digits.
        station: where the cash is handed in.
        cash_limit_minor: most cash that may be in hand, minor units; None for no limit.
    """

    courier_id: str
    merchant_id: str
    password: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4,12}\Z")]
    station: str = ""
    cash_limit_minor: NotNegative | None = None

    def __repr__(self) -> str:
        return f"Courier({self.courier_id!r})"


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order of a merchant.

    Attributes:
        order_no: 1 to 40 characters.
        merchant_id: whose.
        amount_minor: what is to pay, minor units; 0 for nothing.
        pay_ways: any of 1 card, 2 cash, 3 delivery.
        text: lines for a terminal's screen, split by a bar.
    """

    order_no: str
    merchant_id: str
    amount_minor: NotNegative
    pay_ways: Annotated[str, msgspec.Meta(pattern=r"^[123]{1,3}\Z")]
    text: str


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An item of a merchant's price list.

    Attributes:
        merchant_id: whose.
        code: what is keyed in.
        name: what is shown.
        price_minor: of one, minor units.
        stock: how many there are at first.
        barcode: another code of it.
    """

    merchant_id: str
    code: Annotated[str, msgspec.Meta(pattern=r"^[^|*]{1,20}\Z")]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    price_minor: NotNegative
    stock: NotNegative
    barcode: Annotated[str, msgspec.Meta(pattern=r"^[^|*]{0,20}\Z")] = ""


class Bank(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bank core.

    Attributes:
        name: of its link.
        acquirer_id: DE32.
        zmk: clear test key under which keys are exchanged, security zone.
        zpk: clear test key of PIN blocks, security none.
        bins: what its cards' numbers begin with.
    """

    name: str
    acquirer_id: str
    zmk: DoubleKey
    zpk: DoubleKey
    bins: list[str]


class Operator(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who runs commands under a name of his own.

    Attributes:
        name: for `--by`.
        token: clear, for tests only.
        roles: what he may do.
    """

    name: str
    token: str
    roles: list[Literal["maker", "checker", "admin", "viewer"]]

    def __repr__(self) -> str:
        return f"Operator({self.name!r})"


class BusinessDay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By whose time days are told.

    Attributes:
        zone: as of the switch's file, such as `Asia/Shanghai`.
    """

    zone: str


class Estate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that exists in one test world; terminals alone are enough for a terminal.

    Attributes:
        terminals: `[[terminals]]`.
        profiles: `[[profiles]]`; one of the name `cup` with the defaults where there is none.
        cards: `[[cards]]`, what `--card` names.
        couriers: `[[couriers]]`, where orders are paid.
        merchants: `[[merchants]]`; `acquirer up` needs one.
        banks: `[[banks]]`; `acquirer up` needs one.
        orders: `[[orders]]` of the order system simulator.
        order_types: `[[order_types]]`, kinds of orders and what terminals show of them.
        instalment_plans: `[[instalment_plans]]`, as of the switch's file.
        items: `[[items]]`, price lists of the order system simulator.
        operators: `[[operators]]` of the switch of `acquirer up`.
        business_day: an estate without one has that of the demo estate.
    """

    terminals: Annotated[list[Terminal], msgspec.Meta(min_length=1)]
    profiles: Annotated[list[Profile], msgspec.Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: [Profile("cup")]
    )
    cards: list[Card] = []
    couriers: list[Courier] = []
    merchants: list[Merchant] = []
    banks: list[Bank] = []
    orders: list[Order] = []
    order_types: list[OrderType] = []
    instalment_plans: list[InstalmentPlanSettings] = []
    items: list[Item] = []
    operators: list[Operator] = []
    business_day: BusinessDay | None = None


@lru_cache(maxsize=4)
def load_estate(path: str = "") -> Estate:
    """Read an estate file; the shipped demo estate where no path is given.

    Raises:
        ConfigError: the file cannot be used.
    """
    return load(path or demo_estate_path(), Estate)


def demo_estate_path() -> Path:
    """Where the shipped demo estate lies."""
    with resources.as_file(resources.files("acquirer.config").joinpath("demo/estate.toml")) as path:
        return path

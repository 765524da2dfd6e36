"""Business configuration as typed values: merchants, terminals, couriers, kinds of orders.

What belongs to whom, and by which rules; what a process needs to start is ``switch/settings.py``.
Keys and passwords stand here under the local master key, never in clear.
Source: docs/configuration.md.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from acquirer.config.constraints import (
    BasisPoints,
    Days,
    NotNegative,
    Percent,
    Positive,
    PositiveSeconds,
)

PlanId = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z]{1,30}\Z")]
Periods = Annotated[int, msgspec.Meta(ge=2, le=60)]
Millionths = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Day = Annotated[str, msgspec.Meta(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?\Z")]
AskedField = Annotated[str, msgspec.Meta(min_length=1, max_length=40, pattern=r"^[^|]*\Z")]


class ProfileSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a kind of terminal talks.

    Attributes:
        key_scheme: ``tmk`` for session keys under a terminal master key; ``dukpt_tdes``,
            ``dukpt_aes`` for a key of its own for each message.
        mac: DE64's algorithm under ``tmk``; derived keys have X9.19 under TDES, CMAC under AES.
        encoding: Python name of the character set of texts.
        mac_key: length of the MAC key that sign-on 003 and 004 hand out.
        bdk: the base key that keys are derived from, under the LMK: of type 609 for TDES, a key
            block of usage B0 for AES.
        bdk_lmk: id of the LMK that ``bdk`` stands under, such as 02; empty for the module's own.
        pin_zpk: a ZPK under the LMK, that PINs are under within the module's reach only; needed
            where couriers sign on, and for AES.
        pin_zpk_block: for AES, the same ZPK under ``bdk_lmk``.
        settlement_mac: whether settlement, batch upload and their answers carry a MAC.
        batch_days: age of a batch, in days, at which it is closed without its terminal.
    """

    name: str
    key_scheme: Literal["tmk", "dukpt_tdes", "dukpt_aes"] = "tmk"
    mac: Literal["cup_ecb", "x919", "cmac"] = "cup_ecb"
    encoding: str = "gb18030"
    mac_key: Literal["single", "double"] = "double"
    bdk: str = ""
    bdk_lmk: Annotated[str, msgspec.Meta(pattern=r"^([0-9]{2})?\Z")] = ""
    pin_zpk: str = ""
    pin_zpk_block: str = ""
    settlement_mac: bool = False
    batch_days: Positive = 7


class TerminalSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A terminal.

    Attributes:
        tmk: its master key under the LMK (key type 002); empty where keys are derived.
        profile: name of the profile by which it talks.
        on_hold: whether its payments and refunds are refused (58).
        keys_every: after so many transactions under the same working keys it is asked to sign on
            for new ones; 0 for never.
        keys_each_batch: whether its working keys end with its batch.
        ksn: where keys are derived, its key serial number with counter zero, hexadecimal.
    """

    terminal_id: str
    merchant_id: str
    tmk: str
    profile: str
    on_hold: bool = False
    keys_every: NotNegative = 0
    keys_each_batch: bool = False
    ksn: Annotated[str, msgspec.Meta(pattern=r"^([0-9A-Fa-f]{20}|[0-9A-Fa-f]{24})?\Z")] = ""


class MerchantSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A merchant; fees are in basis points of the amount, rounded half up once a payment.

    Attributes:
        mdr_basis_points: fee on a card payment.
        event_secret: ``whsec_…``, signs the notices to the merchant.
        event_secrets: further ones that sign beside it while secrets are being rotated.
        order_text: Jinja2 template of what terminals show of an order (``order_text.py``); empty
            shows the order system's own text.
        ask: what the courier must key in before a payment, by name, as the terminal shows it.
        cod_basis_points: fee on an order that is paid in cash.
        cod_fixed_minor: added to that, minor units.
        refund_fee: whether a refund gives the payment's fee back with it, or we keep it.
        refund: whether its terminals may refund.
        blind_refund: whether they may without naming the payment.
        refund_days: how old the payment may be.
        offline_sale: whether its terminals may tell of sales that were approved by phone.
        keyed: whether its terminals may key a card's number in.
        moto: whether they may take orders by mail and telephone.
        plans: ids of the instalment plans that its terminals offer.
        preauth_days: for how long a pre-authorisation holds its amount.
        tip_percent_max: how much of a sale its tip may be; 0 for no tips.
        completion_over_percent: by how much a completion may be above what was held.
        fallback: whether a chip card whose chip cannot be read may be swiped.
        debt_limit_minor: what it may owe us after a refund that its takings do not cover.
        suspended: whether payments at its terminals are refused (03).
    """

    merchant_id: str
    name: str
    mcc: str
    mdr_basis_points: BasisPoints
    event_secret: str
    currency_code: str = "156"
    cod_basis_points: BasisPoints = 0
    cod_fixed_minor: NotNegative = 0
    event_secrets: list[str] = []
    order_text: str = ""
    ask: list[AskedField] = []
    refund_fee: Literal["return", "keep"] = "keep"
    refund: bool = False
    blind_refund: bool = False
    refund_days: NotNegative = 90
    offline_sale: bool = False
    keyed: bool = False
    moto: bool = False
    plans: list[PlanId] = []
    preauth_days: Days = 30
    completion_over_percent: Percent = 15
    tip_percent_max: Percent = 0
    fallback: bool = False
    debt_limit_minor: NotNegative = 0
    suspended: bool = False

    @property
    def secrets(self) -> tuple[str, ...]:
        """All secrets that sign."""
        return tuple(secret for secret in (self.event_secret, *self.event_secrets) if secret)

    def __repr__(self) -> str:
        return f"MerchantSettings({self.merchant_id!r})"


class InstalmentPlanSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A plan by which a card is paid back in instalments to its bank, which bears the credit.

    Attributes:
        id: as terminals name it in DE62, letters and digits.
        counts: numbers of repayments that it offers.
        banks: names of the banks whose plan it is.
        amount_from_minor, amount_to_minor: of what amounts, minor units.
        buyer_ppm: the bank's fee, over all repayments, in millionths of the amount.
        merchant_ppm: what the merchant pays us beside the fee on a sale, in millionths.
        valid_from, valid_to: the first and the last business date, such as 2026-01-31; empty for
            no bound.
    """

    id: PlanId
    counts: Annotated[list[Periods], msgspec.Meta(min_length=1)]
    banks: Annotated[list[str], msgspec.Meta(min_length=1)]
    amount_from_minor: Positive
    amount_to_minor: Positive
    buyer_ppm: Millionths
    merchant_ppm: Millionths = 0
    valid_from: Day = ""
    valid_to: Day = ""


class OrderSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of order payments whose confirmation does not come.

    Attributes:
        ask_after_s: age from which the terminal is asked for it, in every reply.
        decide_after_s: age at which it is decided without the terminal. The bank is asked what it
            knows; where it does not answer until twice that age, its word is not waited for.
        unconfirmed: what is decided, unless the bank does not know the payment: it stands
            (``confirm``), or it is undone (``reverse``).
        look_every_s: pause between two looks for such payments.
    """

    ask_after_s: PositiveSeconds = 60.0
    decide_after_s: PositiveSeconds = 6 * 3600.0
    unconfirmed: Literal["confirm", "reverse"] = "confirm"
    look_every_s: PositiveSeconds = 5.0


class OrderTypeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of order, such as a utility bill; the first that fits an order counts.

    Attributes:
        name: for people, such as ``utility``.
        merchants: whose orders; empty for all.
        order_no_pattern: regular expression (``config/patterns.py``) that the whole order number
            matches; empty for all.
        text: Jinja2 template of what terminals show; empty shows the order system's own text.
        ask: what the courier must key in before a payment.
        cancel_within_s: age up to which a payment may be cancelled; None for any.
        product: what of a shop's it is (``shop.py``); empty for an order that exists before it is
            asked for.
    """

    name: str
    merchants: list[str] = []
    order_no_pattern: str = ""
    text: str = ""
    ask: list[AskedField] = []
    cancel_within_s: PositiveSeconds | None = None
    product: Literal["", "sale", "stock_in", "count", "item", "takings"] = ""


class LimitRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a merchant, a terminal, a merchant category or each card is held to; one of these four.

    Attributes:
        merchant_id: of the merchant.
        terminal_id: of the terminal.
        mcc: the merchant category: all its merchants together.
        each_card: each card by itself, wherever it is used.
        transactions: the journal's kinds that are allowed (58); a kind that is handled as another
            is allowed with that one too.
        entry_modes: how a card may be presented (58): ``stripe``, ``chip``, ``contactless``,
            ``keyed``, ``qr``.
        currencies: numeric codes that are allowed (12).
        amount_max_minor: the most that one payment may be (61).
        amount_max_daily_minor: the most that payments of one business date may come to (61).
        count_max_daily: the most payments of one business date (65).
    """

    merchant_id: str = ""
    terminal_id: str = ""
    mcc: str = ""
    each_card: bool = False
    transactions: list[str] | None = None
    entry_modes: list[str] | None = None
    currencies: list[str] | None = None
    amount_max_minor: NotNegative | None = None
    amount_max_daily_minor: NotNegative | None = None
    count_max_daily: NotNegative | None = None

    @property
    def subjects(self) -> list[tuple[str, str]]:
        """Member and value of those that it names; a right one names one."""
        named = [(name, getattr(self, name)) for name in ("merchant_id", "terminal_id", "mcc")]
        return [pair for pair in named if pair[1]] + [("each_card", "")] * self.each_card

    @property
    def subject(self) -> tuple[str, str]:
        """Member and value of what it is about."""
        return self.subjects[0]


class CourierSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A courier.

    Attributes:
        password: the PIN under the LMK for account 000000000000.
        station: where the cash is handed in; empty where any will do.
        cash_limit_minor: most cash that may be in hand, minor units; None for no limit.
    """

    courier_id: str
    merchant_id: str
    password: str
    station: str = ""
    cash_limit_minor: NotNegative | None = None

    def __repr__(self) -> str:
        return f"CourierSettings({self.courier_id!r})"

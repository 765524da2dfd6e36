"""The bank core simulator's configuration file as typed values.

Cards, PINs and the bank's keys come from the estate, which holds test data only. Rules make the
simulator answer or fail in a chosen way.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from acquirer.codecs import bertlv
from acquirer.codecs.errors import RemoteFormatError
from acquirer.config.constraints import NotNegative, NotNegativeSeconds, Positive
from acquirer.config.loading import ConfigError, load

SCRIPT_TAGS = frozenset({"71", "72"})
Fault = Literal[
    "",
    "drop",
    "delay",
    "close",
    "garbage",
    "wrong_stan",
    "duplicate_reply",
    "late_reply",
    "extra_byte",
]


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a rule looks at; what is left out matches all.

    Attributes:
        amount_minor: DE4.
        pan_suffix: last digits of the card number, four at most.
        terminal_id: DE41.
        mti: four digits or their beginning; left out, requests 01xx and 02xx.
        processing_code: DE3 or its beginning.
        probability: share of the messages that the rule takes, drawn from the seed.
    """

    amount_minor: NotNegative | None = None
    pan_suffix: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{0,4}\Z")] = ""
    terminal_id: str = ""
    mti: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{0,4}\Z")] = ""
    processing_code: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{0,6}\Z")] = ""
    probability: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[rules]]`` entry; the first that matches counts.

    Attributes:
        match: which messages.
        response_code: DE39 to answer instead of deciding; the money does not move unless it
            is 00.
        fault: what goes wrong with the reply, after the books have been written.
        delay_s: for ``delay`` (1 s if left out) and ``late_reply`` (5 s).
        times: how many messages it takes in all; 0 means without end.
        approved_minor: of a sale above it, only so much is approved (10); 0 for all.
        script: what a chip's answer brings beside its cryptogram: BER-TLV of tags 71 and 72 in
            hexadecimal.
    """

    match: Match = Match()
    response_code: Annotated[str, msgspec.Meta(pattern=r"^([0-9A-Z]{2})?\Z")] = ""
    fault: Fault = ""
    delay_s: NotNegativeSeconds | None = None
    times: NotNegative = 0
    approved_minor: NotNegative = 0
    script: Annotated[str, msgspec.Meta(pattern=r"^([0-9A-Fa-f]{2})*\Z", max_length=256)] = ""


class LimitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits per card, minor units; 0 means none."""

    amount_max_minor: NotNegative = 0
    daily_amount_max_minor: NotNegative = 0
    daily_count_max: NotNegative = 0


class BankSimSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file.

    Attributes:
        listen: ``host:port``; port 0 takes a free one.
        connect: addresses, ``host:port``, of switches that wait for the bank to connect.
        data: folder of the books.
        estate: path of the estate file; empty takes the shipped demo estate.
        bank: which bank of the estate this is.
        dialect: a shipped dialect or the path of a dialect file.
        length_header: such as ``ascii4``; empty takes the dialect's own.
        security: ``zone`` for MACs and key exchange, ``none`` for neither.
        mac: the MAC's algorithm in ``zone``.
        key_exchange: bring keys in the reply to a 101, or promise and then push them.
        key_overlap_s: how long replaced keys stay good.
        rekey_s: push new keys this often; 0 never.
        currency_code: of all accounts.
        seed: decides about probabilities and garbage.
        connections_max: links at once.
        in_flight_max: requests of one link that are being worked on.
        frame_bytes_max: longest frame that is taken.
    """

    listen: str = "127.0.0.1:0"
    connect: list[Annotated[str, msgspec.Meta(pattern=r"^.+:[0-9]{1,5}\Z")]] = []
    data: str = "bank-sim"
    estate: str = ""
    bank: str = "demo"
    dialect: str = "iso87_ascii"
    length_header: str = ""
    security: Literal["none", "zone"] = "none"
    mac: Literal["x919", "x99", "cmac"] = "x919"
    key_exchange: Literal["reply", "push"] = "reply"
    key_overlap_s: NotNegativeSeconds = 30.0
    rekey_s: NotNegativeSeconds = 0.0
    currency_code: str = "156"
    seed: int = 0
    connections_max: Positive = 64
    in_flight_max: Positive = 1024
    frame_bytes_max: Positive = 8192
    limits: LimitSettings = LimitSettings()
    rules: list[Rule] = []


def load_settings(path: str | Path) -> BankSimSettings:
    """Read a settings file; relative paths in it are relative to the file.

    Raises:
        ConfigError: the file cannot be used.
    """
    settings = load(path, BankSimSettings)
    for index, rule in enumerate(settings.rules):
        if reason := rule_fault(rule):
            raise ConfigError(path, f"rules[{index}]", reason)
    folder = Path(path).resolve().parent
    estate = str(folder / settings.estate) if settings.estate else ""
    return msgspec.structs.replace(settings, data=str(folder / settings.data), estate=estate)


def rule_fault(rule: Rule) -> str:
    """Why a rule cannot be used, or nothing."""
    if rule.script:
        try:
            objects = bertlv.parse(bytes.fromhex(rule.script))
        except RemoteFormatError as error:
            return f"script: {error}"
        if not objects or any(item.tag not in SCRIPT_TAGS for item in objects):
            return "script: one or more templates, tags 71 and 72"
    does = rule.response_code or rule.fault or rule.approved_minor or rule.script
    return "" if does else "needs response_code, fault, approved_minor or script"


def demo_settings_path() -> Path:
    """The shipped settings, with the rules that the demo plays on."""
    file = resources.files("acquirer.config").joinpath("demo/bank-sim.toml")
    with resources.as_file(file) as path:
        return path

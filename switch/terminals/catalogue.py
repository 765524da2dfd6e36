"""What terminals may fetch now, in the form in which they get it, and what each has not. Pure.

Source: docs/interfaces/terminal.md, part 4 ("Downloads"); EMV 4.3 Book 2, 11.2.1 (checksum of a
key).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from acquirer.codecs import bertlv
from acquirer.codecs.tpdu import ProcessingDemand
from acquirer.config.business import MerchantSettings
from acquirer.config.downloads import (
    TOKENS_A_PAGE,
    BlacklistSettings,
    CaKeySettings,
    IcParameterSettings,
    ParameterSettings,
)
from acquirer.ledger.journal.entries import TerminalRow

PARAMETERS, CA_KEYS, IC_PARAMETERS = "parameters", "ca_keys", "ic_parameters"
BLACKLIST = "blacklist"
# In the order in which terminals are asked for them.
DEMANDS = {
    PARAMETERS: ProcessingDemand.DOWNLOAD_PARAMETERS,
    CA_KEYS: ProcessingDemand.DOWNLOAD_CA_KEYS,
    IC_PARAMETERS: ProcessingDemand.DOWNLOAD_IC_PARAMETERS,
}
DE62_BYTES_MAX = 512
NAME_BYTES = 40
# What two digits hold.
PERCENT_MAX = 99
NOTHING, LAST, MORE = b"0", b"1", b"2"
USUAL = ParameterSettings()


@dataclass(frozen=True, slots=True)
class Item:
    """One key or application.

    Attributes:
        name: the data objects by which terminals ask for it.
        listed: those that a query shows.
        whole: all.
    """

    name: bytes
    listed: bytes
    whole: bytes


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All that there is to fetch.

    Attributes:
        parameters: of all terminals.
        items: keys and applications, by kind.
        pages: of the blacklist.
        versions: kind to version, of what has been loaded.
    """

    parameters: ParameterSettings = USUAL
    items: Mapping[str, tuple[Item, ...]] = field(default_factory=dict)
    pages: tuple[bytes, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    def demand(self, row: TerminalRow) -> ProcessingDemand:
        """What a terminal is to fetch, since it has another version of it."""
        if self.versions:
            fetched = dict(row.fetched)
            for kind, demand in DEMANDS.items():
                if kind in self.versions and self.versions[kind] != fetched.get(kind):
                    return demand
        return ProcessingDemand.NOTHING

    def listing(self, kind: str, known: int) -> bytes:
        """DE62 of a query's reply: what comes after so many, as much as there is room for."""
        shown = b""
        for item in self.items.get(kind, ())[known:]:
            if len(shown) + len(item.listed) >= DE62_BYTES_MAX:
                return MORE + shown
            shown += item.listed
        return LAST + shown if shown else NOTHING

    def item(self, kind: str, name: bytes) -> bytes:
        """DE62 of a download's reply."""
        found = (item.whole for item in self.items.get(kind, ()) if item.name == name)
        return next((LAST + whole for whole in found), NOTHING)

    def page(self, known: int) -> bytes:
        """DE62 of the reply to a query of the blacklist: the page after so many."""
        if known >= len(self.pages):
            return NOTHING
        return (LAST if known == len(self.pages) - 1 else MORE) + self.pages[known]


NO_DOWNLOADS = Catalogue()


def catalogue_of(
    parameters: Sequence[ParameterSettings],
    ca_keys: Sequence[CaKeySettings],
    ic_parameters: Sequence[IcParameterSettings],
    blacklist: Sequence[BlacklistSettings],
) -> Catalogue:
    """The catalogue of what an operator has loaded."""
    loaded: dict[str, Sequence[msgspec.Struct]] = {
        PARAMETERS: parameters,
        CA_KEYS: ca_keys,
        IC_PARAMETERS: ic_parameters,
    }
    tokens = [bytes.fromhex(token) for one in blacklist for token in one.tokens]
    return Catalogue(
        parameters[0] if parameters else USUAL,
        {
            CA_KEYS: tuple(map(_key, ca_keys)),
            IC_PARAMETERS: tuple(map(application_item, ic_parameters)),
        },
        tuple(
            b"".join(tokens[at : at + TOKENS_A_PAGE]) for at in range(0, len(tokens), TOKENS_A_PAGE)
        ),
        {kind: _version(bodies) for kind, bodies in loaded.items() if bodies},
    )


def _version(bodies: Sequence[msgspec.Struct]) -> str:
    return hashlib.sha256(msgspec.json.encode(bodies)).hexdigest()[:16]


def _key(key: CaKeySettings) -> Item:
    rid, index = bytes.fromhex(key.rid), bytes.fromhex(key.index)
    modulus, exponent = bytes.fromhex(key.modulus), bytes.fromhex(key.exponent)
    name = [("9F06", rid), ("9F22", index)]
    listed = [*name, ("DF05", key.expiry.encode("ascii"))]
    checksum = hashlib.sha1(rid + index + modulus + exponent, usedforsecurity=False).digest()
    whole = [
        *listed,
        ("DF06", bytes.fromhex(key.hash_algorithm)),
        ("DF07", bytes.fromhex(key.signature_algorithm)),
        ("DF02", modulus),
        ("DF04", exponent),
        ("DF03", checksum),
    ]
    return Item(*map(bertlv.build, (name, listed, whole)))


def application_item(application: IcParameterSettings) -> Item:
    """An application in the form in which terminals get it.

    Raises:
        LocalFormatError: a tag that is none.
    """
    name = bertlv.build([("9F06", bytes.fromhex(application.aid))])
    objects = [(tag.upper(), bytes.fromhex(value)) for tag, value in application.objects.items()]
    return Item(name, name, name + bertlv.build(objects))


def parameter_text(
    parameters: ParameterSettings, merchant: MerchantSettings, encoding: str
) -> bytes:
    """DE62 of the reply to a parameter download: tags of two digits, values of fixed lengths."""
    name = merchant.name.encode(encoding, "replace")[:NAME_BYTES]
    whole = name.decode(encoding, "ignore").encode(encoding)
    values = (
        (11, parameters.application),
        (12, f"{parameters.time_out_s:02d}"),
        (13, str(parameters.retries)),
        (18, str(int(merchant.tip_percent_max > 0))),
        (19, f"{min(merchant.tip_percent_max, PERCENT_MAX):02d}"),
        (20, str(int(merchant.keyed))),
        (21, str(int(parameters.automatic_sign_off))),
        (22, ""),
        (23, str(parameters.reversal_retries)),
        (24, str(int(merchant.offline_sale))),
        (25, str(parameters.tmk_index)),
        (26, parameters.transaction_switches),
    )
    return b"".join(
        f"{tag}{value}".encode("ascii") + (whole.ljust(NAME_BYTES) if tag == 22 else b"")
        for tag, value in values
    )

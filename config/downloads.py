"""What terminals fetch from the switch, as typed values: parameters, chip data, the blacklist.

Source: docs/configuration.md, "Downloads"; docs/interfaces/terminal.md, part 4 ("Downloads").
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

# A terminal says with two digits how many it knows.
ITEMS_MAX = 99
TOKENS_A_PAGE = 40

Digit = Annotated[int, msgspec.Meta(ge=0, le=9)]
Token = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Fa-f]{16}\Z")]
Tokens = Annotated[list[Token], msgspec.Meta(max_length=ITEMS_MAX * TOKENS_A_PAGE)]


class ParameterSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How terminals work; what depends on the merchant comes from his terms.

    Attributes:
        application: tag 11, 2 digits.
        time_out_s: tag 12, how long an answer is waited for.
        retries: tag 13, of a call.
        automatic_sign_off: tag 21.
        reversal_retries: tag 23.
        tmk_index: tag 25.
        transaction_switches: tag 26, 4 digits.
    """

    application: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{2}\Z")] = "00"
    time_out_s: Annotated[int, msgspec.Meta(ge=1, le=99)] = 60
    retries: Digit = 3
    automatic_sign_off: bool = False
    reversal_retries: Digit = 3
    tmk_index: Digit = 0
    transaction_switches: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}\Z")] = "1111"


class CaKeySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A card scheme's public key, by which terminals verify chips.

    Attributes:
        rid: the scheme, 10 hexadecimal digits (9F06).
        index: of the key, 2 (9F22).
        expiry: YYYYMMDD (DF05).
        modulus: 64 to 248 bytes, hexadecimal (DF02).
        exponent: 3 or 65537, hexadecimal (DF04).
        hash_algorithm: 01 is SHA-1 (DF06).
        signature_algorithm: 01 is RSA (DF07).
    """

    rid: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Fa-f]{10}\Z")]
    index: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Fa-f]{2}\Z")]
    expiry: Annotated[
        str, msgspec.Meta(pattern=r"^[0-9]{4}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])\Z")
    ]
    modulus: Annotated[str, msgspec.Meta(pattern=r"^([0-9A-Fa-f]{2}){64,248}\Z")]
    exponent: Literal["03", "010001"] = "03"
    hash_algorithm: Literal["01"] = "01"
    signature_algorithm: Literal["01"] = "01"

    @property
    def name(self) -> str:
        """What tells it from other keys."""
        return (self.rid + self.index).upper()


class IcParameterSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a terminal needs to know of a chip application.

    Attributes:
        aid: the application, 10 to 32 hexadecimal digits (9F06).
        objects: further data objects, tag to value, hexadecimal, such as DF11 = "D84000A800".
    """

    aid: Annotated[str, msgspec.Meta(pattern=r"^([0-9A-Fa-f]{2}){5,16}\Z")]
    objects: dict[
        Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Fa-f]{2}([0-9A-Fa-f]{2}){0,2}\Z")],
        Annotated[str, msgspec.Meta(pattern=r"^([0-9A-Fa-f]{2})*\Z")],
    ] = {}


class BlacklistSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Cards that terminals take back.

    Attributes:
        tokens: keyed digests of their numbers, 16 hexadecimal digits each.
    """

    tokens: Tokens = []

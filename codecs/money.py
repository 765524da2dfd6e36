"""Minor units as people write them. Source: ISO 4217, list one, column "minor unit"."""

from __future__ import annotations

import re

_MAJOR = re.compile(r"([0-9]{1,10})(?:\.([0-9]{1,4}))?")

# Numeric and alphabetic codes of the currencies whose minor unit is not a hundredth.
_DECIMALS = {
    **dict.fromkeys(("BIF", "108", "CLP", "152", "DJF", "262", "GNF", "324", "ISK", "352"), 0),
    **dict.fromkeys(("JPY", "392", "KMF", "174", "KRW", "410", "PYG", "600", "RWF", "646"), 0),
    **dict.fromkeys(("UGX", "800", "UYI", "940", "VND", "704", "VUV", "548", "XAF", "950"), 0),
    **dict.fromkeys(("XOF", "952", "XPF", "953"), 0),
    **dict.fromkeys(("BHD", "048", "IQD", "368", "JOD", "400", "KWD", "414", "LYD", "434"), 3),
    **dict.fromkeys(("OMR", "512", "TND", "788"), 3),
    **dict.fromkeys(("CLF", "990", "UYW", "927"), 4),
}


def decimals(currency_code: str) -> int:
    """How many decimals a currency has, by its numeric or alphabetic code.

    A code that is none of ISO 4217's, such as that of a points book, counts whole units.

    >>> decimals("156"), decimals("JPY"), decimals("points:acme")
    (2, 0, 0)
    """
    if len(currency_code) != 3:
        return 0
    return _DECIMALS.get(currency_code, 2)


def format_minor(amount_minor: int, currency_code: str) -> str:
    """An amount with its decimals and thousands.

    >>> format_minor(-1234567, "156"), format_minor(1234567, "392")
    ('-12,345.67', '1,234,567')
    """
    places = decimals(currency_code)
    whole, rest = divmod(abs(amount_minor), 10**places)
    sign = "-" if amount_minor < 0 else ""
    return f"{sign}{whole:,}" + (f".{rest:0{places}d}" if places else "")


def parse_major(text: str, currency_code: str) -> int:
    """Minor units of an amount as people type it, without thousands.

    Raises:
        ValueError: no digits, or more decimals than the currency has.

    >>> parse_major("12.5", "156"), parse_major("7", "392")
    (1250, 7)
    """
    places = decimals(currency_code)
    found = _MAJOR.fullmatch(text.strip())
    if found is None or len(found[2] or "") > places:
        more = f" with at most {places} decimals" if places else ""
        raise ValueError(f"{text!r} is no amount: 1 to 10 digits{more}")
    return int(found[1] + (found[2] or "").ljust(places, "0"))

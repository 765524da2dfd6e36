"""What of a data element may be shown: the one place that decides.

Used by ``repr``, traces, logs and ``acquirer decode``. A PAN keeps six and four digits, tracks
keep the PAN's six and four, PIN blocks, key material (DE48 with keys, DE62) and ICC data are
hidden. Source: PCI DSS 4.0, 3.3 (never shown or stored) and 3.4 (masking).
"""

from __future__ import annotations

from acquirer.codecs.pan import mask_digits

_HIDDEN = frozenset({36, 45, 52, 55, 62, 125, 127})


def mask_field(number: int, value: str) -> str:
    """The value of data element ``number`` as it may be shown.

    >>> mask_field(35, "6225880000000007D30121010000000000")
    '622588******0007D*'
    >>> mask_field(52, "F421C8F4FFE584DC")
    '[8 bytes hidden]'
    """
    if number == 2:
        return mask_digits(value)
    if number == 35:
        return mask_digits(value.replace("=", "D").partition("D")[0]) + "D*"
    if number in _HIDDEN:
        return f"[{len(value) // 2} bytes hidden]"
    if number == 48 and len(value) > 60:
        return f"[{len(value)} characters hidden]"
    return value

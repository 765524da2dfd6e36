"""Key check values: BU and the older KA."""

from __future__ import annotations

from acquirer.hsm_sim.body import Body
from acquirer.hsm_sim.errors import Refusal
from acquirer.hsm_sim.key_types import KeyRole, key_type
from acquirer.hsm_sim.lmk import WorkingKey

_BARE_HEX = {"0": 16, "1": 32, "2": 48, "F": 16}


def _of_short_type(code: str) -> KeyRole:
    """Two characters, variant digit and pair: ``02`` is type 002, ``42`` type 402."""
    return key_type(code[0] + "0" + code[1])


def check_value(body: Body) -> str:
    """BU: 16 digits, or 6 where the request asks for them."""
    short = body.take(2)
    flag = body.choice("012F", "05")
    text = body.key_text(_BARE_HEX[flag])
    if short == "FF":
        if not body.optional(";"):
            raise Refusal("15", "key type code FF needs a key type after the key")
        role = body.key_type()
    else:
        role = _of_short_type(short)
    kcv_type = "0"
    if body.optional(";"):
        if body.take(2) not in ("00", "ZZ"):
            raise Refusal("15", "two reserved characters stand before the KCV type")
        kcv_type = body.choice("01")
    key = body.end().key((role, text))
    if flag != "F" and len(key.clear) * 2 != _BARE_HEX[flag]:
        raise Refusal("27", "the key's length is not the one that the length flag says")
    return _kcv(body, key, kcv_type)


def check_value_legacy(body: Body) -> str:
    """KA: key first; 16 digits, or 6 with ``;ZZ1``."""
    text = body.key_text()
    role = _of_short_type(body.take(2))
    kcv_type = "0"
    if body.optional(";"):
        body.take(2)
        kcv_type = body.choice("01")
    return _kcv(body, body.end().key((role, text)), kcv_type)


def _kcv(body: Body, key: WorkingKey, kcv_type: str) -> str:
    return key.kcv() if kcv_type == "1" else body.state.kcv_16(key.kcv(16))

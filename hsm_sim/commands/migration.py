"""From an old LMK to its successor: keys (BW), PINs (BG) and decimalisation tables (LO).

And QK, which brings a PIN under the LMK to another account number. Which LMK is the old one of
another is the configuration's (``replaced_by``). Under LMKs that are not published none is done
unasked. Source: the module's legacy host commands; docs/hsm.md, "From one LMK to another".
"""

from __future__ import annotations

from acquirer.hsm_sim.body import Body
from acquirer.hsm_sim.commands.pin_fields import read_stored_pin
from acquirer.hsm_sim.commands.pin_verification import clear_table
from acquirer.hsm_sim.errors import Refusal
from acquirer.hsm_sim.key_attributes import check_role, default_header
from acquirer.hsm_sim.key_types import KeyRole, key_type
from acquirer.hsm_sim.lmk import LocalMasterKey
from acquirer.hsm_sim.operator import translate_key

_LENGTHS = {"0": 8, "1": 16, "2": 24, "3": 24}
_BY_TYPE, _FROM_002 = "FF", "F2"
_VARIANT_CODES = {"10": "100", "42": "402"}
_SEPARATED = ("002", "70D", "80D")
_BY_LENGTH = {8: "Z", 16: "U", 24: "T"}


def key_to_new_lmk(body: Body) -> str:
    """BW: a key under the old LMK, under its successor."""
    code, flag = body.take(2), body.take(1)
    if flag not in _LENGTHS:
        raise Refusal("05", "the key length flag is 0 to 3")
    size = _LENGTHS[flag]
    text = body.key_text(2 * size)
    source, destination = _roles(body, code)
    scheme = _scheme(body)
    lmk = body.end(attributes=True)
    old = _old(body, lmk, "BW")
    clear = old.key((source, text)).clear
    if len(clear) != size and text[:1] not in ("S", "R"):
        raise Refusal("05", "the key is not as long as its flag says")
    if source is not destination:
        if lmk.uses_blocks or old.uses_blocks:
            raise Refusal("04", "key type 002 is parted under variant LMKs")
        return lmk.wrap(destination, clear, scheme or _own_scheme(text, clear))
    wanted = body.requested.header if body.requested else None
    if not lmk.uses_blocks:
        if wanted is not None:
            raise Refusal("A1", "a variant LMK keeps no attributes of a key")
        chosen = scheme or _own_scheme(text, clear)
        return translate_key(old, lmk, source.code, text, chosen)[0]
    if not old.uses_blocks:
        wanted = wanted or default_header(source, clear)
        check_role(source, wanted)
    return translate_key(old, lmk, source.code, text, scheme or "S", wanted)[0]


def pin_to_new_lmk(body: Body) -> str:
    """BG: a PIN under the old LMK, under its successor."""
    account, stored = body.account(), read_stored_pin(body)
    lmk = body.end()
    pin = _old(body, lmk, "BG").decipher_pin(stored, account)
    return lmk.encipher_pin(pin, account)


def table_to_new_lmk(body: Body) -> str:
    """LO: an enciphered decimalisation table under the old LMK, under its successor."""
    text = body.take(16)
    lmk = body.end()
    old = _old(body, lmk, "LO")
    table = clear_table(old, text, body.state.settings.decimalisation_tables)
    if table == text:
        raise Refusal("25", "the decimalisation table is not under the old LMK")
    return lmk.encipher_table(bytes.fromhex(table)).hex().upper()


def pin_to_other_account(body: Body) -> str:
    """QK: a PIN under the LMK with one account number, with another."""
    stored, account, other = read_stored_pin(body), body.account(), body.account()
    lmk = body.end()
    body.state.require(lmk, "command", "QK")
    return lmk.encipher_pin(lmk.decipher_pin(stored, account), other)


def _old(body: Body, lmk: LocalMasterKey, command: str) -> LocalMasterKey:
    """The LMK that another takes the place of.

    Raises:
        Refusal: 33 there is none; 17 not authorised.
    """
    old = body.state.old_lmk(lmk)
    for one in (old, lmk):
        body.state.require(one, "command", command)
    return old


def _roles(body: Body, code: str) -> tuple[KeyRole, KeyRole]:
    """What the key is under the old LMK, and under the new one.

    Raises:
        Refusal: 04.
    """
    named = None
    if body.peek() == ";" and body.peek(4)[2:3].isalnum() and not _is_scheme(body.peek(4)):
        body.optional(";")
        named = key_type(body.take(3))
    if code in (_BY_TYPE, _FROM_002) and named is None:
        raise Refusal("04", f"a key type follows key type code {code}")
    if code == _BY_TYPE and named is not None:
        return named, named
    if code == _FROM_002 and named is not None:
        if named.code not in _SEPARATED:
            raise Refusal("04", "keys of type 002 become 70D or 80D")
        return key_type("002"), named
    role = key_type(_VARIANT_CODES.get(code, "0" + code))
    if named is not None and named is not role:
        raise Refusal("04", "the key type is not that of its code")
    return role, role


def _own_scheme(text: str, clear: bytes) -> str:
    """The scheme that a key has, or one of its length."""
    if text[:1] in ("S", "R"):
        return _BY_LENGTH[len(clear)]
    return text[:1] if text[:1] in "ZUTXY" else ""


def _is_scheme(ahead: str) -> bool:
    return ahead[1:2] == "0" and ahead[3:] == "0" and ahead[2:3] in "UTZXYS"


def _scheme(body: Body) -> str:
    """The scheme behind the second ``;``, empty where there is none."""
    if not body.optional(";"):
        return ""
    body.choice("0")
    scheme = body.choice("0ZUTXYS", "26")
    body.choice("0")
    return "" if scheme == "0" else scheme

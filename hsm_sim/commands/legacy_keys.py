"""Older key commands, one for each kind of key.

Three families: generate under a master key and the LMK (HC, HA, IA, FI), translate from a ZMK to
the LMK (FA, FC, MI, AW, FK, DW, BY), translate from the LMK to a ZMK or TMK (GC, FE, MG, AU, FM,
DY, AE, AG). Their options: ``;``, scheme under the master key, scheme under the LMK, KCV type
(0 = 16 digits, 1 = 6). Without options keys are single length, or as long as the one given.
"""

from __future__ import annotations

from collections.abc import Callable

from acquirer.hsm_sim import schemes
from acquirer.hsm_sim.body import Body
from acquirer.hsm_sim.commands.keys import random_key, refuse_weak
from acquirer.hsm_sim.commands.reply import Advisory, Handler
from acquirer.hsm_sim.crypto import des, kcv
from acquirer.hsm_sim.errors import Refusal
from acquirer.hsm_sim.key_types import CVK, TMK, ZAK, ZEK, ZMK, KeyRole

_SCHEMES = "0ZUTXY"
_UNDER_LMK = {"U": "U", "X": "U", "T": "T", "Y": "T"}
_BLANKS = ("", "0")

RoleOf = Callable[[Body], KeyRole]


def generate(role: KeyRole, master: KeyRole, *, with_kcv: bool) -> Handler:
    """A handler that makes a key: under the given key, under the LMK, KCV if so."""
    return _generate(lambda _: role, master, with_kcv=with_kcv)


def generate_zek_or_zak(body: Body) -> str | Advisory:
    """FI: the flag says which."""
    return _generate(_flagged, ZMK, with_kcv=True)(body)


def to_lmk(role: KeyRole) -> Handler:
    """A handler that takes a key from a ZMK to the LMK."""
    return lambda body: _to_lmk(body, role)


def zek_or_zak_to_lmk(body: Body) -> str | Advisory:
    """FK: the flag says which."""
    return _to_lmk(body, _flagged(body))


def from_lmk(role: KeyRole, master: KeyRole = ZMK) -> Handler:
    """A handler that takes a key from the LMK to another master key."""
    return lambda body: _from_lmk(body, role, master)


def zek_or_zak_from_lmk(body: Body) -> str:
    """FM: the flag says which."""
    return _from_lmk(body, _flagged(body), ZMK)


def _flagged(body: Body) -> KeyRole:
    return ZAK if body.choice("01") == "1" else ZEK


def _options(body: Body) -> tuple[str, str, str]:
    """Scheme under the master key, scheme under the LMK, KCV type; blanks where left out."""
    if not body.optional(";"):
        return "", "", "0"
    scheme_out = body.choice(_SCHEMES, "26")
    scheme_lmk = body.choice(_SCHEMES, "26")
    return scheme_out, scheme_lmk, body.choice("01")


def _kcv(role: KeyRole, clear: bytes, kcv_type: str) -> str:
    """16 or 6 digits; a CVK's long form is six digits of each half."""
    if kcv_type == "1":
        return kcv.kcv(clear)
    if role is CVK and len(clear) == 16:
        return kcv.kcv(clear[:8]) + kcv.kcv(clear[8:])
    return kcv.kcv(clear, 16)


def _generate(role_of: RoleOf, master: KeyRole, *, with_kcv: bool) -> Handler:
    def handle(body: Body) -> str:
        role = role_of(body)
        master_text = body.key(master)
        scheme_out, scheme_lmk, kcv_type = _options(body)
        lmk = body.end()
        size = schemes.key_bytes(scheme_lmk)
        if schemes.key_bytes(scheme_out) != size:
            raise Refusal("26", "the two key schemes are of different lengths")
        clear = random_key(body.state, size)
        fields = schemes.wrap(lmk.key(master_text).clear, clear, scheme_out)
        fields += lmk.wrap(role, clear, scheme_lmk)
        return fields + _kcv(role, clear, kcv_type) if with_kcv else fields

    return handle


def _to_lmk(body: Body, role: KeyRole) -> str | Advisory:
    master_text = body.key(ZMK)
    text = body.key_text(role.bare_hex)
    _atalla_variant(body)
    _, scheme, kcv_type = _options(body)
    lmk = body.end()
    received = schemes.unwrap(lmk.key(master_text).clear, text)
    clear = des.odd_parity(received)
    refuse_weak(body.state, clear)
    if scheme in _BLANKS:
        scheme = _UNDER_LMK.get(text[0], "")
    fields = lmk.wrap(role, clear, scheme) + _kcv(role, clear, kcv_type)
    return fields if clear == received else Advisory("01", fields)


def _from_lmk(body: Body, role: KeyRole, master: KeyRole) -> str:
    master_text = body.key(master)
    text = body.key(role)
    _atalla_variant(body)
    scheme, _, kcv_type = _options(body)
    lmk = body.end()
    key = lmk.key(text, "11")
    if scheme in _BLANKS:
        scheme = key.scheme
    fields = schemes.wrap(lmk.key(master_text).clear, key.clear, scheme)
    return fields if master is TMK else fields + _kcv(role, key.clear, kcv_type)


def _atalla_variant(body: Body) -> None:
    if body.peek().isdecimal() and body.choice("0123456789") != "0":
        raise Refusal("15", "Atalla variants other than 0 are not offered")

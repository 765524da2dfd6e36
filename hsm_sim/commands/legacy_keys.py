"""Older key commands, one for each kind of key.

Three families: generate under a master key and the LMK (HC, HA, IA, FI) or the LMK alone (BI),
translate from a ZMK to
the LMK (FA, FC, MI, AW, FK, DW, BY), translate from the LMK to a ZMK or TMK (GC, FE, MG, AU, FM,
DY, AE, AG). Their options: ``;``, scheme under the master key, scheme under the LMK, KCV type
(0 = 16 digits, 1 = 6). Without options keys are single length, or as long as the one given.
"""

from __future__ import annotations

from collections.abc import Callable

from acquirer.hsm_sim import key_transport, schemes
from acquirer.hsm_sim.body import Body
from acquirer.hsm_sim.commands.keys import (
    LMK_SCHEMES,
    arrive,
    atalla_variant,
    check_authorised,
    leave,
    new_key,
)
from acquirer.hsm_sim.commands.reply import Advisory, Handler
from acquirer.hsm_sim.errors import Refusal
from acquirer.hsm_sim.key_types import (
    BDK,
    CVK,
    DECIPHER,
    ENCIPHER,
    TMK,
    ZAK,
    ZEK,
    ZMK,
    KeyRole,
    using,
)
from acquirer.hsm_sim.lmk import LocalMasterKey, WorkingKey

_UNDER_LMK = {"U": "U", "X": "U", "T": "T", "Y": "T"}
_BLANKS = ("", "0")

RoleOf = Callable[[Body], KeyRole]


def generate(role: KeyRole, master: KeyRole, *, with_kcv: bool) -> Handler:
    """A handler that makes a key: under the given key, under the LMK, KCV if so."""
    return _generate(lambda _: role, master, with_kcv=with_kcv)


def generate_zek_or_zak(body: Body) -> str | Advisory:
    """FI: the flag says which."""
    return _generate(_flagged, ZMK, with_kcv=True)(body)


def generate_bdk(body: Body) -> str | Advisory:
    """BI: a BDK under the LMK with its KCV, and under a ZMK too where one is given."""
    if not body.at_tail() and body.peek() != ";":
        return _generate(lambda _: BDK, ZMK, with_kcv=True)(body)
    _, scheme, kcv_type = _options(body)
    lmk = body.end(attributes=True)
    key = _new_key(body, lmk, BDK, scheme)
    return lmk.wrap(BDK, key.clear, scheme, key.header) + _kcv(body, BDK, key, kcv_type)


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
    scheme_out = body.choice(key_transport.SCHEMES, "26")
    scheme_lmk = body.choice(LMK_SCHEMES, "26")
    return scheme_out, scheme_lmk, body.choice("01")


def _kcv(body: Body, role: KeyRole, key: WorkingKey, kcv_type: str) -> str:
    """16 or 6 digits; a CVK's long form is six digits of each half."""
    if kcv_type == "1":
        return key.kcv()
    if role is CVK and len(key.clear) == 16:
        return WorkingKey(key.clear[:8], "").kcv() + WorkingKey(key.clear[8:], "").kcv()
    return body.state.kcv_16(key.kcv(16))


def _generate(role_of: RoleOf, master: KeyRole, *, with_kcv: bool) -> Handler:
    def handle(body: Body) -> str:
        role = role_of(body)
        master_text = body.key(using(master, ENCIPHER))
        atalla = atalla_variant(body)
        scheme_out, scheme_lmk, kcv_type = _options(body)
        lmk = body.end(attributes=True)
        plain = not lmk.uses_blocks and scheme_out not in ("S", "R")
        if plain and schemes.key_bytes(scheme_out) != schemes.key_bytes(scheme_lmk):
            raise Refusal("26", "the two key schemes are of different lengths")
        key = _new_key(body, lmk, role, scheme_lmk)
        if master is not TMK:  # A terminal's fresh keys leave whenever it signs on.
            check_authorised(body, lmk, "export", role, key.header)
        scheme = _outgoing(lmk, scheme_out, key)
        fields = leave(body, lmk.key(master_text), role, key, scheme, atalla)
        fields += lmk.wrap(role, key.clear, scheme_lmk, key.header)
        return fields + _kcv(body, role, key, kcv_type) if with_kcv else fields

    return handle


def _to_lmk(body: Body, role: KeyRole) -> str | Advisory:
    master_text = body.key(using(ZMK, DECIPHER))
    text = body.key_text(role.bare_hex)
    atalla = atalla_variant(body)
    _, scheme, kcv_type = _options(body)
    lmk = body.end(attributes=True)
    received = key_transport.receive(lmk.key(master_text), text, atalla)
    key = arrive(body, lmk, role, received)
    if scheme in _BLANKS:
        scheme = _UNDER_LMK.get(text[0], "")
        if text[0] in "SR" and not lmk.uses_blocks:
            scheme = {8: "", 16: "U", 24: "T"}[len(key.clear)]
    fields = lmk.wrap(role, key.clear, "S" if lmk.uses_blocks else scheme, key.header)
    fields += _kcv(body, role, key, kcv_type)
    return Advisory("01", fields) if received.mended else fields


def _from_lmk(body: Body, role: KeyRole, master: KeyRole) -> str:
    master_text = body.key(using(master, ENCIPHER))
    text = body.key(role)
    atalla = atalla_variant(body)
    scheme, _, kcv_type = _options(body)
    lmk = body.end(attributes=True)
    key = lmk.key(text, "11")
    check_authorised(body, lmk, "export", role, key.header)
    scheme = _outgoing(lmk, scheme, key)
    fields = leave(body, lmk.key(master_text), role, key, scheme, atalla)
    return fields if master is TMK else fields + _kcv(body, role, key, kcv_type)


def _new_key(body: Body, lmk: LocalMasterKey, role: KeyRole, scheme: str) -> WorkingKey:
    """A random key; keys that are pairs by nature stay double length without a scheme letter."""
    pair = scheme in _BLANKS and role.bare_hex == 32 and not lmk.uses_blocks
    return new_key(body, lmk, role, "X" if pair else scheme)


def _outgoing(lmk: LocalMasterKey, scheme: str, key: WorkingKey) -> str:
    """The scheme under the master key where the request names none."""
    if scheme not in _BLANKS:
        return scheme
    if lmk.uses_blocks:
        return "S"
    return key.scheme

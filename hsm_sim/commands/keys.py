"""Modern key commands: A0 generate, A4 form from components, A6 import, A8 export."""

from __future__ import annotations

from acquirer.hsm_sim import schemes
from acquirer.hsm_sim.body import Body
from acquirer.hsm_sim.commands.reply import Advisory
from acquirer.hsm_sim.crypto import des, kcv
from acquirer.hsm_sim.errors import Refusal
from acquirer.hsm_sim.key_types import TMK, ZMK, KeyRole
from acquirer.hsm_sim.state import ModuleState

_SCHEMES = "0ZUTXY"


def generate(body: Body) -> str:
    """A0: a random key under the LMK, in mode 1 under a ZMK or TMK as well."""
    mode = body.choice("01")
    role = body.key_type()
    scheme = body.choice(_SCHEMES, "26")
    if mode == "0":
        lmk = body.end()
        clear = random_key(body.state, schemes.key_bytes(scheme))
        return lmk.wrap(role, clear, scheme) + kcv.kcv(clear)
    master_text = body.key(_master_role(body))
    scheme_out = body.choice(_SCHEMES, "26")
    lmk = body.end()
    master = lmk.key(master_text)
    clear = random_key(body.state, schemes.key_bytes(scheme))
    exported = _wrap(master.clear, clear, scheme_out)
    return lmk.wrap(role, clear, scheme) + exported + kcv.kcv(clear)


def form_from_components(body: Body) -> str:
    """A4: the XOR of two to nine components that stand under the LMK as the key itself will."""
    count = body.choice("23456789", "03")
    role = body.key_type()
    scheme = body.choice(_SCHEMES, "26")
    bare_hex = schemes.key_bytes(scheme) * 2
    texts = [body.key(role, bare_hex) for _ in range(int(count))]
    lmk = body.end()
    folded = 0
    for text in texts:
        part = lmk.key(text).clear
        if len(part) != schemes.key_bytes(scheme):
            raise Refusal("27", "a component is not as long as the scheme says")
        folded ^= int.from_bytes(part, "big")
    clear = des.odd_parity(folded.to_bytes(schemes.key_bytes(scheme), "big"))
    refuse_weak(body.state, clear)
    return lmk.wrap(role, clear, scheme) + kcv.kcv(clear)


def import_key(body: Body) -> str | Advisory:
    """A6: from under a ZMK to the LMK; 01 where its parity had to be put right."""
    role = body.key_type()
    master_text = body.key(ZMK)
    text = body.key_text()
    scheme = body.choice(_SCHEMES, "26")
    if body.peek().isdecimal():
        _atalla_variant(body)
    lmk = body.end()
    received = schemes.unwrap(lmk.key(master_text).clear, text)
    clear = des.odd_parity(received)
    refuse_weak(body.state, clear)
    if len(clear) != schemes.key_bytes(scheme):
        raise Refusal("27", "the key's length does not fit the scheme")
    fields = lmk.wrap(role, clear, scheme) + kcv.kcv(clear)
    return fields if clear == received else Advisory("01", fields)


def export_key(body: Body) -> str:
    """A8: from under the LMK to a ZMK or TMK."""
    role = body.key_type()
    master_text = body.key(_master_role(body))
    text = body.key(role)
    scheme = body.choice(_SCHEMES, "26")
    if body.peek().isdecimal():
        _atalla_variant(body)
    lmk = body.end()
    key = lmk.key(text, "11")
    return _wrap(lmk.key(master_text).clear, key.clear, scheme) + key.kcv()


def random_key(state: ModuleState, size: int) -> bytes:
    """A random key of odd parity whose 8-byte parts all differ."""
    while True:
        clear = des.odd_parity(state.random(size))
        if not _has_equal_parts(clear):
            return clear


def refuse_weak(state: ModuleState, clear: bytes) -> None:
    """Refuse a single-length key that poses as a longer one, and a key of zeros.

    Raises:
        Refusal: 75, 11.
    """
    if state.settings.refuse_single_as_double and _has_equal_parts(clear):
        raise Refusal("75", "parts of the key are equal: it is a single length key")
    if not any(byte & 0xFE for byte in clear):
        raise Refusal("11", "the key is all zeros")


def _has_equal_parts(clear: bytes) -> bool:
    return clear[:8] == clear[8:16] or (len(clear) == 24 and clear[8:16] == clear[16:])


def _master_role(body: Body) -> KeyRole:
    if body.optional(";"):
        return TMK if body.choice("01") == "1" else ZMK
    return ZMK


def _atalla_variant(body: Body) -> None:
    """An Atalla variant of 0 is none; others alter the ZMK in a way that is not offered.

    Raises:
        Refusal: 15, another variant than 0.
    """
    if body.choice("0123456789") != "0":
        raise Refusal("15", "Atalla variants other than 0 are not offered")


def _wrap(master: bytes, clear: bytes, scheme: str) -> str:
    if schemes.key_bytes(scheme) != len(clear):
        raise Refusal("27", "the key's length does not fit the scheme")
    return schemes.wrap(master, clear, scheme)

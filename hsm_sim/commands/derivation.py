"""A0 in modes A and B: a terminal's initial DUKPT key from a base key, and its export.

The other modes are :func:`acquirer.hsm_sim.commands.keys.generate`'s. After key type and scheme
stand the derivation mode ``0``, the base key's type (1 to 4), the base key and the KSN without its
counter, 15 digits, or 16 under an AES base key; mode B goes on as mode 1 does. An initial key keeps
the parity that its derivation gave it.
"""

from __future__ import annotations

from acquirer.hsm_sim import key_transport
from acquirer.hsm_sim.body import Body
from acquirer.hsm_sim.commands import keys
from acquirer.hsm_sim.crypto import dukpt_aes, dukpt_tdes
from acquirer.hsm_sim.crypto.block_header import BlockHeader
from acquirer.hsm_sim.errors import Refusal
from acquirer.hsm_sim.key_attributes import check_role
from acquirer.hsm_sim.key_types import BDK, BDK_2, ENCIPHER, KEY_TYPES, using
from acquirer.hsm_sim.lmk import KeyField, LocalMasterKey, WorkingKey, block_bytes

DERIVE, DERIVE_AND_EXPORT = "A", "B"

IKEY = KEY_TYPES["302"]
_BDKS = {"1": BDK, "2": BDK_2, "3": KEY_TYPES["809"], "4": KEY_TYPES["909"]}


def generate(body: Body) -> str:
    """A0, all modes."""
    if body.peek() not in (DERIVE, DERIVE_AND_EXPORT):
        return keys.generate(body)
    mode = body.choice(DERIVE + DERIVE_AND_EXPORT)
    if body.key_type().code not in (IKEY.code, "FFF"):
        raise Refusal("04", "only initial keys (302, FFF) are derived")
    scheme = body.choice(keys.LMK_SCHEMES, "26")
    body.choice("0")
    bdk = body.key(_BDKS[body.choice("1234")])
    ksn = _read_initial_ksn(body, bdk)
    if mode == DERIVE:
        lmk = body.end(attributes=True)
        key = _derived(body, lmk, bdk, ksn, scheme)
        return lmk.wrap(IKEY, key.clear, scheme, key.header) + key.kcv()
    master_text = body.key(using(keys.master_role(body), ENCIPHER))
    scheme_out = body.choice(key_transport.SCHEMES, "26")
    atalla = keys.atalla_variant(body)
    lmk = body.end(attributes=True)
    master = lmk.key(master_text)
    key = _derived(body, lmk, bdk, ksn, scheme)
    keys.check_authorised(body, lmk, "export", IKEY, key.header)
    exported = keys.leave(body, master, IKEY, key, scheme_out, atalla)
    return lmk.wrap(IKEY, key.clear, scheme, key.header) + exported + key.kcv()


def _read_initial_ksn(body: Body, bdk: KeyField) -> bytes:
    """The KSN with a counter of zero, 10 or 12 bytes."""
    if block_bytes(bdk) == 16:
        return body.hex_bytes(16) + bytes(4)
    text = body.take(15)
    try:
        return bytes.fromhex(text + "00000")
    except ValueError:
        raise Refusal("15", "the KSN holds other characters than hexadecimal digits") from None


def _derived(body: Body, lmk: LocalMasterKey, bdk: KeyField, ksn: bytes, scheme: str) -> WorkingKey:
    base = lmk.key(bdk)
    if base.algorithm == "A":
        clear = dukpt_aes.initial_key(base.clear, ksn)
    else:
        clear = dukpt_tdes.initial_key(base.clear, ksn)
    header = None
    if lmk.uses_blocks or base.algorithm == "A":
        wanted = body.requested
        header = wanted.header if wanted else BlockHeader("B1", base.algorithm, "X", "00", "E")
        check_role(IKEY, header)
        if header.algorithm != base.algorithm:
            raise Refusal("A7", "an initial key has its base key's algorithm")
    return WorkingKey(clear, scheme, header)

"""Modern key commands: A0 generate, A4 form from components, A6 import, A8 export.

They work under every LMK. A request's ``#`` part says what a new key block shall hold; under a key
block LMK it stands in the place of the key type (then FFF), under a variant LMK it describes the
key blocks that leave. What they do with a key must be authorised, as ``authorisation.py`` says.
Source: docs/hsm.md, "Commands" and "Framing".
"""

from __future__ import annotations

from dataclasses import replace

from acquirer.hsm_sim import key_transport, schemes
from acquirer.hsm_sim.authorisation import FREE_IMPORTS, RESTRICTED_KEYS, Category
from acquirer.hsm_sim.body import Body
from acquirer.hsm_sim.commands.reply import Advisory
from acquirer.hsm_sim.crypto import des
from acquirer.hsm_sim.crypto.block_header import BlockHeader
from acquirer.hsm_sim.errors import Refusal
from acquirer.hsm_sim.key_attributes import (
    check_role,
    check_whole,
    default_header,
    for_export,
    narrowed,
)
from acquirer.hsm_sim.key_transport import Received
from acquirer.hsm_sim.key_types import DECIPHER, ENCIPHER, TEK, TMK, ZMK, KeyRole, using
from acquirer.hsm_sim.lmk import LocalMasterKey, WorkingKey
from acquirer.hsm_sim.state import ModuleState

LMK_SCHEMES = "0ZUTXYS"
"""Scheme letters that a request may name for a key under the LMK."""


def generate(body: Body) -> str:
    """A0: a random key under the LMK, in mode 1 under a ZMK or TMK as well."""
    mode = body.choice("01")
    role = body.key_type()
    scheme = body.choice(LMK_SCHEMES, "26")
    if mode == "0" or body.at_tail():
        lmk = body.end(attributes=True)
        key = new_key(body, lmk, role, scheme)
        check_authorised(body, lmk, "generate", role, key.header)
        return lmk.wrap(role, key.clear, scheme, key.header) + key.kcv()
    holder = master_role(body)
    master_text = body.key(using(holder, ENCIPHER))
    scheme_out = body.choice(key_transport.SCHEMES, "26")
    atalla = atalla_variant(body)
    lmk = body.end(attributes=True)
    master = lmk.key(master_text)
    key = new_key(body, lmk, role, scheme)
    check_authorised(body, lmk, "generate", role, key.header)
    if not (role is TEK and holder is TMK):  # A terminal's fresh track key, as in HC and HA.
        check_authorised(body, lmk, "export", role, key.header)
    _check_length(key, scheme_out)
    exported = leave(body, master, role, key, scheme_out, atalla)
    return lmk.wrap(role, key.clear, scheme, key.header) + exported + key.kcv()


def form_from_components(body: Body) -> str:
    """A4: the XOR of two to nine components that stand under the LMK as the key itself will.

    A key block takes usage, algorithm, mode of use and exportability from its components; a ``#``
    part says version number and optional blocks only.
    """
    count = body.choice("23456789", "03")
    role = body.key_type()
    scheme = body.choice(LMK_SCHEMES, "26")
    bare_hex = 16 if scheme == "S" else schemes.key_bytes(scheme) * 2
    texts = [body.key(role, bare_hex) for _ in range(int(count))]
    lmk = body.end(attributes=True, formed=True)
    parts = [lmk.component(text) for text in texts]
    header = _formed_header(body, [part.header for part in parts if part.header is not None])
    check_authorised(body, lmk, "component", role, header)
    size = len(parts[0].clear) if scheme == "S" else schemes.key_bytes(scheme)
    folded = 0
    for part in parts:
        if len(part.clear) != size:
            raise Refusal("27", "a component is not as long as the key")
        folded ^= int.from_bytes(part.clear, "big")
    clear = folded.to_bytes(size, "big")
    if parts[0].algorithm == "T":
        clear = des.odd_parity(clear)
        refuse_weak(body.state, clear)
    return lmk.wrap(role, clear, scheme, header) + WorkingKey(clear, scheme, header).kcv()


def import_key(body: Body) -> str | Advisory:
    """A6: from under a ZMK to the LMK; 01 where its parity had to be put right."""
    role = body.key_type()
    master_text = body.key(using(ZMK, DECIPHER))
    text = body.key_text()
    scheme = body.choice(LMK_SCHEMES, "26")
    atalla = atalla_variant(body)
    lmk = body.end(attributes=True)
    received = key_transport.receive(lmk.key(master_text), text, atalla)
    key = arrive(body, lmk, role, received)
    if not lmk.uses_blocks and len(key.clear) != schemes.key_bytes(scheme):
        raise Refusal("27", "the key's length does not fit the scheme")
    fields = lmk.wrap(role, key.clear, scheme, key.header) + key.kcv()
    return Advisory("01", fields) if received.mended else fields


def export_key(body: Body) -> str:
    """A8: from under the LMK to a ZMK or TMK."""
    role = body.key_type()
    master_text = body.key(using(master_role(body), ENCIPHER))
    text = body.key(role)
    scheme = body.choice(key_transport.SCHEMES, "26")
    atalla = atalla_variant(body)
    lmk = body.end(attributes=True)
    key = lmk.key(text, "11")
    check_authorised(body, lmk, "export", role, key.header)
    _check_length(key, scheme)
    return leave(body, lmk.key(master_text), role, key, scheme, atalla) + key.kcv()


def check_authorised(
    body: Body, lmk: LocalMasterKey, category: Category, role: KeyRole, header: BlockHeader | None
) -> None:
    """Refuse what is done to a key unless it is free or an operator has authorised it.

    Args:
        body: the request.
        lmk: what the key stands, or shall stand, under.
        category: what is done.
        role: of the key.
        header: what its key block says, or None.

    Raises:
        Refusal: 17.
    """
    name = header.usage if header is not None and lmk.uses_blocks else role.code
    if category == "import" and name in FREE_IMPORTS:
        return
    if category == "generate" and name not in RESTRICTED_KEYS:
        return
    body.state.require(lmk, category, name)


def new_key(body: Body, lmk: LocalMasterKey, role: KeyRole, scheme: str) -> WorkingKey:
    """A random key as a request wants it, with a header where it will need one.

    Raises:
        Refusal: 26 the scheme is not the LMK's; A6 to A8 the ``#`` part is not the role's.
    """
    wanted = body.requested
    if wanted is not None and role.code != "FFF":
        check_role(role, wanted.header)
    if not lmk.uses_blocks:
        return WorkingKey(random_key(body.state, schemes.key_bytes(scheme)), scheme)
    if wanted is not None:
        size, header = wanted.key_bytes, wanted.header
    else:
        size, header = 16, default_header(role, bytes(16))
    if header.algorithm == "A":
        return WorkingKey(body.state.random(size), scheme, header)
    return WorkingKey(random_key(body.state, size), scheme, header)


def arrive(body: Body, lmk: LocalMasterKey, role: KeyRole, received: Received) -> WorkingKey:
    """A received key as it may be kept.

    Raises:
        Refusal: 75, 11 a weak key; A6 to AA it may not be kept as asked; 17 nor brought in.
    """
    if not received.is_aes:
        refuse_weak(body.state, received.clear)
    header, wanted = received.header, body.requested
    if lmk.uses_blocks and wanted is not None:
        header = narrowed(header, wanted.header) if header else wanted.header
    elif lmk.uses_blocks and header is None:
        header = default_header(role, received.clear)
    if header is not None and role.code != "FFF":
        check_role(role, header)
    check_authorised(body, lmk, "import", role, header)
    return WorkingKey(received.clear, "", header)


def leave(
    body: Body, master: WorkingKey, role: KeyRole, key: WorkingKey, scheme: str, atalla: int
) -> str:
    """A key under a ZMK or TMK.

    Raises:
        Refusal: 27 lengths do not fit; A6 to AA it may not leave so.
    """
    header: BlockHeader | None = key.header
    if header is not None:
        header = for_export(header, scheme, body.exportability)
    elif scheme in ("S", "R"):
        header = body.requested.header if body.requested else default_header(role, key.clear)
        header = replace(header, exportability=body.exportability or header.exportability)
    state = body.state
    return key_transport.send(
        master,
        key.clear,
        header,
        scheme,
        random=state.random,
        tr31_version=state.settings.tr31_version,
        atalla=atalla,
    )


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


def atalla_variant(body: Body) -> int:
    """An Atalla variant of one or two digits where one stands, else 0."""
    digits = ""
    while len(digits) < 2 and body.peek().isdecimal():
        digits += body.choice("0123456789")
    return int(digits or "0")


def _formed_header(body: Body, components: list[BlockHeader]) -> BlockHeader | None:
    """What the block of a key says that is formed from components; None where they are no blocks.

    Raises:
        Refusal: A6, A7, A8, AA the components differ, A9 the version number would be a component's.
    """
    if not components:
        return None
    first = components[0]
    for code, name in (
        ("A6", "usage"),
        ("A7", "algorithm"),
        ("A8", "mode"),
        ("AA", "exportability"),
    ):
        if any(getattr(other, name) != getattr(first, name) for other in components):
            raise Refusal(code, f"the components are not of the same {name}")
    wanted = body.requested.header if body.requested else BlockHeader("", "", "")
    header = replace(first, version=wanted.version, optional=wanted.optional)
    check_whole(header)
    return header


def _check_length(key: WorkingKey, scheme: str) -> None:
    if scheme not in ("S", "R") and schemes.key_bytes(scheme) != len(key.clear):
        raise Refusal("27", "the key's length does not fit the scheme")


def _has_equal_parts(clear: bytes) -> bool:
    return clear[:8] == clear[8:16] or (len(clear) == 24 and clear[8:16] == clear[16:])


def master_role(body: Body) -> KeyRole:
    """Whether the key before an export is a ZMK or, after ``;1``, a TMK."""
    if body.optional(";"):
        return TMK if body.choice("01") == "1" else ZMK
    return ZMK

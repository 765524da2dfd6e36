"""Production LMKs and their components on disk, enciphered under a passphrase.

A file is one JSON object: what it holds, the parameters of scrypt, and the secret under AES-256-GCM
with everything else as associated data, so that no part of it can be changed unseen. A component
has the same form. No file is ever readable by others than its owner, nor overwritten.
Source: RFC 7914 (scrypt); NIST SP 800-38D (GCM).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import msgspec
from Crypto.Cipher import AES

from acquirer.hsm_sim.crypto import des, kcv, mac
from acquirer.hsm_sim.errors import HsmConfigError
from acquirer.hsm_sim.key_block_lmk import KeyBlockLmk
from acquirer.hsm_sim.lmk import LocalMasterKey, VariantLmk

Scheme = Literal["variant", "tdes", "aes"]
"""Kinds of LMK: twenty variant pairs, a TDES or an AES key block LMK."""

SECRET_BYTES: dict[Scheme, int] = {"variant": 320, "tdes": 24, "aes": 32}
PASSPHRASE_CHARACTERS_MIN = 12
COMPONENTS_MIN, COMPONENTS_MAX = 2, 9
FILE_BYTES_MAX = 16 * 1024

_COST, _BLOCK_SIZE, _PARALLEL = 2**15, 8, 1
_COST_MAX = 2**18


class _Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file: everything but ``ciphertext`` is associated data."""

    kind: Literal["acquirer-lmk", "acquirer-lmk-component"]
    version: int
    scheme: Scheme
    check_value: str
    scrypt_n: int
    scrypt_r: int
    scrypt_p: int
    salt: str
    nonce: str
    ciphertext: str = ""


def new_component(scheme: Scheme, random: Callable[[int], bytes]) -> bytes:
    """A random component of an LMK; DES components have odd parity."""
    secret = random(SECRET_BYTES[scheme])
    return secret if scheme == "aes" else des.odd_parity(secret)


def combine(scheme: Scheme, components: Sequence[bytes]) -> bytes:
    """The LMK that components make: their XOR, DES keys of odd parity.

    Args:
        scheme: kind of LMK.
        components: two to nine, each as long as the LMK.

    Raises:
        HsmConfigError: number or length of the components, or two of them are the same.
    """
    if not COMPONENTS_MIN <= len(components) <= COMPONENTS_MAX:
        raise HsmConfigError(f"an LMK has {COMPONENTS_MIN} to {COMPONENTS_MAX} components")
    if len(set(components)) != len(components):
        raise HsmConfigError("two components are the same")
    size, folded = SECRET_BYTES[scheme], 0
    for component in components:
        if len(component) != size:
            raise HsmConfigError(f"a component of a {scheme} LMK has {size} bytes")
        folded ^= int.from_bytes(component, "big")
    secret = folded.to_bytes(size, "big")
    return secret if scheme == "aes" else des.odd_parity(secret)


def check_value(scheme: Scheme, secret: bytes) -> str:
    """Six digits that tell LMKs and components apart without telling them.

    For a component it is the check value that it would have as a key.
    """
    if scheme == "aes":
        return mac.cmac_aes(secret, b"").hex().upper()[:6]
    if scheme == "tdes":
        return kcv.kcv(secret)
    folded = 0
    for start in range(0, len(secret), 16):
        folded ^= int.from_bytes(secret[start : start + 16], "big")
    return kcv.kcv(des.odd_parity(folded.to_bytes(16, "big")))


def save(
    path: Path,
    scheme: Scheme,
    secret: bytes,
    passphrase: str,
    random: Callable[[int], bytes],
    *,
    component: bool = False,
) -> str:
    """Write an LMK or a component to a new file that only its owner can read.

    Args:
        path: must not exist.
        scheme: kind of LMK.
        secret: the key or component.
        passphrase: at least 12 characters.
        random: gives n random bytes, for salt and nonce.
        component: whether it is a component.

    Returns:
        Its check value.

    Raises:
        HsmConfigError: the passphrase is short, or the file cannot be made.
    """
    if len(passphrase) < PASSPHRASE_CHARACTERS_MIN:
        raise HsmConfigError(f"a passphrase has {PASSPHRASE_CHARACTERS_MIN} characters or more")
    head = _Sealed(
        kind="acquirer-lmk-component" if component else "acquirer-lmk",
        version=1,
        scheme=scheme,
        check_value=check_value(scheme, secret),
        scrypt_n=_COST,
        scrypt_r=_BLOCK_SIZE,
        scrypt_p=_PARALLEL,
        salt=random(16).hex(),
        nonce=random(12).hex(),
    )
    cipher = AES.new(_key(head, passphrase), AES.MODE_GCM, nonce=bytes.fromhex(head.nonce))
    cipher.update(msgspec.json.encode(head))
    ciphertext, tag = cipher.encrypt_and_digest(secret)
    sealed = msgspec.structs.replace(head, ciphertext=(ciphertext + tag).hex())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(sealed)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise HsmConfigError(f"{path}: {error.strerror}") from None
    return head.check_value


def open_secret(path: Path, passphrase: str, *, component: bool = False) -> tuple[Scheme, bytes]:
    """Read what :func:`save` wrote.

    Returns:
        Kind of LMK, and the key or component.

    Raises:
        HsmConfigError: the file cannot be read, is something else or was changed, or the
            passphrase is wrong.
    """
    sealed = _read(path)
    expected = "acquirer-lmk-component" if component else "acquirer-lmk"
    if sealed.kind != expected:
        raise HsmConfigError(f"{path}: holds {sealed.kind}, not {expected}")
    try:
        nonce, body = bytes.fromhex(sealed.nonce), bytes.fromhex(sealed.ciphertext)
        cipher = AES.new(_key(sealed, passphrase), AES.MODE_GCM, nonce=nonce)
        cipher.update(msgspec.json.encode(msgspec.structs.replace(sealed, ciphertext="")))
        secret = cipher.decrypt_and_verify(body[:-16], body[-16:])
    except ValueError:
        raise HsmConfigError(f"{path}: wrong passphrase, or the file was changed") from None
    if len(secret) != SECRET_BYTES[sealed.scheme]:
        raise HsmConfigError(f"{path}: the key's length does not fit its scheme")
    return sealed.scheme, secret


def local_master_key(
    scheme: Scheme,
    secret: bytes,
    lmk_id: str,
    *,
    pci_key_separation: bool = False,
    pin_digits_max: int = 12,
) -> LocalMasterKey:
    """The LMK that a secret is.

    Args:
        scheme: its kind.
        secret: as :func:`open_secret` gives it.
        lmk_id: two digits.
        pci_key_separation: as in the module's settings.
        pin_digits_max: as in the module's settings.
    """
    if scheme != "variant":
        return KeyBlockLmk(secret, lmk_id, pin_digits_max=pin_digits_max)
    pairs = tuple(secret[start : start + 16] for start in range(0, len(secret), 16))
    return VariantLmk(pairs, pci_key_separation=pci_key_separation, pin_digits_max=pin_digits_max)


def _read(path: Path) -> _Sealed:
    try:
        with path.open("rb") as file:
            text = file.read(FILE_BYTES_MAX + 1)
        sealed = msgspec.json.decode(text, type=_Sealed)
    except OSError as error:
        raise HsmConfigError(f"{path}: {error.strerror}") from None
    except msgspec.DecodeError:
        raise HsmConfigError(f"{path}: no LMK file") from None
    cost = sealed.scrypt_n
    if sealed.version != 1 or cost & (cost - 1) or not _COST <= cost <= _COST_MAX:
        raise HsmConfigError(f"{path}: version or scrypt cost is not ours")
    return sealed


def _key(sealed: _Sealed, passphrase: str) -> bytes:
    if (sealed.scrypt_r, sealed.scrypt_p) != (_BLOCK_SIZE, _PARALLEL):
        raise ValueError("scrypt parameters are not ours")
    return hashlib.scrypt(
        passphrase.encode("utf-8"),
        salt=bytes.fromhex(sealed.salt),
        n=sealed.scrypt_n,
        r=sealed.scrypt_r,
        p=sealed.scrypt_p,
        maxmem=sealed.scrypt_n * sealed.scrypt_r * 256,
        dklen=32,
    )

"""What an operator does outside host commands: bring clear keys and PINs under an LMK.

The composition root provisions the demo estate with these. They are pure, and they are the only
way by which a clear key becomes a host command's key text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from acquirer.hsm_sim.crypto import des
from acquirer.hsm_sim.crypto.block_header import BlockHeader
from acquirer.hsm_sim.errors import HsmConfigError, Refusal
from acquirer.hsm_sim.key_attributes import ALGORITHMS, RequestedBlock, check_header, narrowed
from acquirer.hsm_sim.key_types import KEY_TYPES, KeyRole
from acquirer.hsm_sim.lmk import TEST_VARIANT_PAIRS, LocalMasterKey, VariantLmk, WorkingKey


def variant_test_lmk(
    *, test_lmk: bool, pci_key_separation: bool = False, pin_digits_max: int = 12
) -> VariantLmk:
    """The published variant test LMK.

    Raises:
        HsmConfigError: ``test_lmk`` is not true.
    """
    if not test_lmk:
        raise HsmConfigError("published test LMKs are refused unless test_lmk = true")
    return VariantLmk(
        TEST_VARIANT_PAIRS,
        pci_key_separation=pci_key_separation,
        pin_digits_max=pin_digits_max,
    )


def wrap_key(
    lmk: LocalMasterKey,
    key_type: str,
    clear: bytes,
    scheme: str,
    header: BlockHeader | None = None,
) -> str:
    """A clear key as a host command's key text.

    Args:
        lmk: the local master key.
        key_type: three characters, such as ``002`` or ``00B``; the code is taken as it stands,
            whatever ``pci_key_separation`` says.
        clear: 8, 16 or 24 bytes, 32 for AES; the parity of DES keys is put right.
        scheme: ``Z``, ``U``, ``T``, ``X`` or ``Y``; ``S`` under a key block LMK.
        header: what a key block shall say; left out, what the key type implies.

    Returns:
        Scheme letter (none for ``Z``) and upper-case hexadecimal digits.

    Raises:
        HsmConfigError: no such key type.
        Refusal: 26 unknown scheme, 27 the key's length does not fit it, A6 to AC the header.
    """
    is_aes = header is not None and header.algorithm == "A"
    return lmk.wrap(role_of(key_type), clear if is_aes else des.odd_parity(clear), scheme, header)


def role_of(key_type: str) -> KeyRole:
    """The role behind a key type code.

    Raises:
        HsmConfigError: no such key type.
    """
    role = KEY_TYPES.get(key_type)
    if role is None:
        raise HsmConfigError(f"no key type {key_type}; `acquirer hsm key types` lists them")
    return role


def attributes(text: str) -> RequestedBlock:
    """Key block attributes as an operator writes them: a ``#`` part without its count.

    Args:
        text: usage 2, algorithm 2, mode 1, version 2, exportability 1, such as ``72T2B00E``.

    Raises:
        HsmConfigError: it is not eight characters, or names no algorithm.
        Refusal: A6 to AA, it says something that cannot be.
    """
    algorithm = ALGORITHMS.get(text[2:4])
    if len(text) != 8 or algorithm is None:
        raise HsmConfigError(
            "attributes are usage 2, algorithm 2, mode 1, version 2, exportability 1: 72T2B00E"
        )
    header = BlockHeader(text[:2], algorithm[0], text[4], text[5:7], text[7])
    check_header(header)
    return RequestedBlock(header, algorithm[1])


def new_components(
    size: int, count: int, random: Callable[[int], bytes], *, is_aes: bool = False
) -> list[bytes]:
    """Random components of a key.

    Args:
        size: bytes of the key.
        count: 2 to 9.
        random: gives n random bytes.
        is_aes: AES components have no parity.

    Raises:
        HsmConfigError: the count is out of range.
    """
    if not 2 <= count <= 9:
        raise HsmConfigError("a key has 2 to 9 components")
    parts = [random(size) for _ in range(count)]
    return parts if is_aes else [des.odd_parity(part) for part in parts]


def combined(components: Sequence[bytes], *, is_aes: bool = False) -> bytes:
    """The key that clear components make: their XOR, DES keys of odd parity.

    Raises:
        HsmConfigError: their number, their lengths, or that two are the same.
    """
    if not 2 <= len(components) <= 9 or len({len(part) for part in components}) != 1:
        raise HsmConfigError("a key has 2 to 9 components of the same length")
    if len(set(components)) != len(components):
        raise HsmConfigError("two components are the same")
    folded = 0
    for part in components:
        folded ^= int.from_bytes(part, "big")
    clear = folded.to_bytes(len(components[0]), "big")
    return clear if is_aes else des.odd_parity(clear)


def translate_key(
    source: LocalMasterKey,
    destination: LocalMasterKey,
    key_type: str,
    text: str,
    scheme: str,
    header: BlockHeader | None = None,
) -> tuple[str, str]:
    """A key from one LMK to another, as when an LMK is replaced.

    Args:
        source: the LMK it stands under.
        destination: the LMK it shall stand under.
        key_type: three characters.
        text: the key.
        scheme: the scheme it shall have.
        header: what its key block shall say, never more than an old block did.

    Returns:
        The key's text, and its check value of 6 digits.

    Raises:
        HsmConfigError: no such key type.
        Refusal: it does not open, or may not become what is asked.
    """
    role = role_of(key_type)
    key: WorkingKey = source.key((role, text))
    chosen = header or key.header
    if header is not None and key.header is not None:
        chosen = narrowed(key.header, header)
    if key.header is not None and not destination.uses_blocks and key.header.mode != "N":
        raise Refusal("A8", "a variant LMK cannot keep the key's mode of use")
    return destination.wrap(role, key.clear, scheme, chosen), key.kcv()


def pin_under_lmk(lmk: LocalMasterKey, pin: str, account_number: str) -> str:
    """A clear PIN as host commands carry it under the LMK.

    Args:
        lmk: the local master key.
        pin: 4 to 12 digits.
        account_number: 12 digits; ``000000000000`` for passwords without a card.

    Raises:
        PinBlockError: 24 for a PIN of a wrong length.
    """
    return lmk.encipher_pin(pin, account_number)

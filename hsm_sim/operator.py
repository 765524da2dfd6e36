"""What an operator does outside host commands: bring clear keys and PINs under an LMK.

The composition root provisions the demo estate with these. They are pure, and they are the only
way by which a clear key becomes a host command's key text.
"""

from __future__ import annotations

from acquirer.hsm_sim.crypto import des
from acquirer.hsm_sim.errors import HsmConfigError
from acquirer.hsm_sim.key_types import KEY_TYPES
from acquirer.hsm_sim.lmk import TEST_VARIANT_PAIRS, LocalMasterKey, VariantLmk


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


def wrap_key(lmk: LocalMasterKey, key_type: str, clear: bytes, scheme: str) -> str:
    """A clear key as a host command's key text.

    Args:
        lmk: the local master key.
        key_type: three characters, such as ``002`` or ``00B``; the code is taken as it stands,
            whatever ``pci_key_separation`` says.
        clear: 8, 16 or 24 bytes; its parity is put right.
        scheme: ``Z``, ``U``, ``T``, ``X`` or ``Y``.

    Returns:
        Scheme letter (none for ``Z``) and upper-case hexadecimal digits.

    Raises:
        HsmConfigError: no such key type.
        Refusal: 26 unknown scheme, 27 the key's length does not fit it.
    """
    role = KEY_TYPES.get(key_type)
    if role is None:
        raise HsmConfigError(f"there is no key type {key_type}")
    return lmk.wrap(role, des.odd_parity(clear), scheme)


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

"""Card data at rest: opens only with its own key and unaltered, compares by token."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquirer.codecs.pan import Pan
from acquirer.payments.kernel.errors import CardUnreadable
from acquirer.payments.kernel.vault import CardVault

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
PANS = st.text("0123456789", min_size=8, max_size=19).map(Pan)


@given(PANS)
def test_seal_and_open(pan: Pan) -> None:
    """What is sealed opens again, and neither token nor cryptogram shows the number."""
    vault = CardVault(KEY, os.urandom)
    sealed = vault.seal(pan)
    assert pan == vault.open(sealed)
    assert pan.masked == sealed.pan_masked
    assert pan.digits.encode() not in sealed.pan_cipher + sealed.pan_token


def test_token() -> None:
    """Equal cards have equal tokens under one key, and others under another."""
    one, other = CardVault(KEY, os.urandom), CardVault(OTHER, os.urandom)
    pan = Pan("6225880000000007")
    assert one.token(pan) == one.seal(pan).pan_token == CardVault(KEY, os.urandom).token(pan)
    assert one.token(pan) != other.token(pan)
    assert one.token(pan) != one.token(Pan("6225880000000015"))


def test_altered_rows() -> None:
    """A cryptogram under another key, changed, or moved to another card's row does not open."""
    vault = CardVault(KEY, os.urandom)
    sealed, other = vault.seal(Pan("6225880000000007")), vault.seal(Pan("6225880000000015"))
    with pytest.raises(CardUnreadable):
        CardVault(OTHER, os.urandom).open(sealed)
    with pytest.raises(CardUnreadable):
        vault.open(replace(sealed, pan_cipher=sealed.pan_cipher[:-1] + b"\0"))
    with pytest.raises(CardUnreadable):
        vault.open(replace(sealed, pan_cipher=other.pan_cipher))


@given(
    st.lists(
        st.text(st.characters(exclude_characters="\x1f", exclude_categories=["Cs"])),
        min_size=2,
        max_size=9,
    )
)
def test_fingerprints(parts: list[str]) -> None:
    """Parts that are cut otherwise are another request."""
    vault = CardVault(KEY, os.urandom)
    joined = ["".join(parts[:2]), *parts[2:]]
    assert vault.fingerprint(*parts) == vault.fingerprint(*parts)
    assert vault.fingerprint(*parts) != vault.fingerprint(*joined)

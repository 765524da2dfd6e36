"""Which error becomes which response code; what is not in the table is a bug and goes on up."""

from __future__ import annotations

import pytest

from acquirer.codecs.errors import RemoteFormatError
from acquirer.ledger.errors import BookBusy, BookUnavailable, BookUncertain
from acquirer.payments.kernel.errors import HsmRefused, HsmUnavailable, response_code_for


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RemoteFormatError("x", field="4"), "30"),
        (HsmRefused("CA", "20"), "99"),
        (HsmRefused("CA", "24"), "99"),
        (HsmRefused("CA", "10"), "A7"),
        (HsmUnavailable("x"), "96"),
        (BookBusy("x"), "96"),
        (BookUnavailable("x"), "96"),
    ],
)
def test_codes(error: Exception, code: str) -> None:
    """The table of errors to DE39."""
    assert code == response_code_for(error)


@pytest.mark.parametrize("error", [ValueError("x"), BookUncertain("x")])
def test_no_code(error: Exception) -> None:
    """A bug, or a commit of which nobody knows, is never told as a decline."""
    with pytest.raises(type(error)):
        response_code_for(error)

"""What pure cryptography refuses. No text holds a key, a PIN or a block."""

from __future__ import annotations


class CryptoError(ValueError):
    """Root of this folder's errors."""


class KeyLengthError(CryptoError):
    """A key has a length that the algorithm does not take."""


class PinBlockError(CryptoError):
    """A PIN, an account number or a PIN block is not what the format asks for.

    Attributes:
        code: payShield error code: ``20`` block contents, ``22`` account, ``23`` format,
            ``24`` PIN length.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class KeyBlockError(CryptoError):
    """A key block does not open, or cannot be made.

    Attributes:
        code: payShield error code: ``A4`` authentication, ``A5`` length, ``A7`` algorithm, ``AB``
            and ``AC`` optional blocks, ``B2`` anything else.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code

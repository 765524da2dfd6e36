"""TR-31/X9.143 key blocks (scheme ``R``), versions A, B, C and D, through psec.

psec makes and opens the blocks; here its errors become payShield's codes and its messages, which
quote what they found, are dropped. Source: X9.143:2022; ASC X9 TR 31-2018.
"""

from __future__ import annotations

import warnings

from psec import tr31

from acquirer.hsm_sim.crypto.block_header import BlockHeader, read_header
from acquirer.hsm_sim.crypto.errors import KeyBlockError
from acquirer.hsm_sim.crypto.thales_block import KEY_BYTES

VERSIONS = {"A": "T", "B": "T", "C": "T", "D": "A"}
"""Version ids and the algorithm of the key block protection key: TDES or AES."""


def wrap(version_id: str, master: bytes, header: BlockHeader, clear: bytes) -> str:
    """A key as a TR-31 block.

    Args:
        version_id: ``A`` to ``D``.
        master: key block protection key: 16 or 24 bytes (A, B, C), 16, 24 or 32 (D).
        header: what the block says of the key.
        clear: the key's bytes; its length is not masked, as real modules do not.

    Returns:
        The block without scheme letter.

    Raises:
        KeyBlockError: ``A7`` or ``AC``, the block cannot be made of this.
    """
    try:
        head = tr31.Header(
            version_id,
            header.usage,
            header.algorithm,
            header.mode,
            header.version,
            header.exportability,
        )
        for name, value in header.optional:
            head.blocks[name] = value
    except ValueError:
        raise KeyBlockError("AC", "the header or an optional block cannot be written") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return tr31.wrap(master, head, clear, len(clear))
    except ValueError:
        raise KeyBlockError("A7", "key, master key and block version do not fit") from None


def unwrap(master: bytes, block: str) -> tuple[BlockHeader, bytes]:
    """The key in a TR-31 block.

    Args:
        master: key block protection key, as :func:`wrap`.
        block: without scheme letter.

    Returns:
        Header and key.

    Raises:
        KeyBlockError: ``A4`` it is not authentic, ``A5``, ``A7``, ``AB``, ``AC``, ``B2`` it cannot
            be read.
    """
    header, _ = read_header(block)
    if block[0] not in VERSIONS:
        raise KeyBlockError("B2", "the version of a TR-31 block is A, B, C or D")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _, clear = tr31.unwrap(master, block)
    except tr31.HeaderError:
        raise KeyBlockError("AC", "an optional block cannot be read") from None
    except ValueError:
        raise KeyBlockError("A4", "the key block is not authentic under this key") from None
    if len(clear) not in KEY_BYTES.get(header.algorithm, ()):
        raise KeyBlockError("A7", "the key's length does not fit its algorithm")
    return header, clear

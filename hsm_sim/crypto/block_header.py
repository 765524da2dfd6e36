"""The 16-character header of key blocks, and its optional blocks.

Thales ``S`` blocks and TR-31/X9.143 ``R`` blocks share the layout: version id 1, length 4, usage 2,
algorithm 1, mode of use 1, key version number 2, exportability 1, number of optional blocks 2, and
two characters that TR-31 reserves and Thales uses for the LMK id. Protection is elsewhere.
Source: X9.143:2022, 6.1 and 6.3.6 (optional blocks); docs/hsm.md for the Thales part.
"""

from __future__ import annotations

from dataclasses import dataclass

from acquirer.hsm_sim.crypto.errors import KeyBlockError

HEADER_CHARACTERS = 16
BLOCK_CHARACTERS_MAX = 9999
OPTIONAL_BLOCKS_MAX = 16
PADDING_ID = "PB"
_LONG_HEAD = 10
_LONG_HEAD_MAX = 14
COMPONENT = "c"

OptionalBlock = tuple[str, str]
"""An optional block: id of 2 characters and its value."""


@dataclass(frozen=True, slots=True)
class BlockHeader:
    """What a key block says of its key.

    Attributes:
        usage: 2 characters, such as ``P0`` or Thales's ``72``.
        algorithm: ``D`` single DES, ``T`` TDES, ``A`` AES.
        mode: mode of use, 1 character.
        version: key version number, 2 characters.
        exportability: ``E``, ``N`` or ``S``.
        optional: optional blocks in their order, padding blocks apart.
    """

    usage: str
    algorithm: str
    mode: str
    version: str = "00"
    exportability: str = "N"
    optional: tuple[OptionalBlock, ...] = ()

    @property
    def is_component(self) -> bool:
        """Whether the block holds a component of a key: version number ``c`` and its number."""
        return self.version.startswith(COMPONENT)


def optional_text(blocks: tuple[OptionalBlock, ...], block_bytes: int) -> tuple[int, str]:
    """Optional blocks as text, filled up to whole cipher blocks by a padding block.

    Args:
        blocks: ids and values.
        block_bytes: the length must be a multiple of it.

    Returns:
        How many blocks, the padding block included, and their text.

    Raises:
        KeyBlockError: ``AC``, a block is too long or its id is no two characters.
    """
    text = "".join(_optional_block(name, value) for name, value in blocks)
    if len(text) % block_bytes == 0:
        return len(blocks), text
    missing = -(len(text) + 4) % block_bytes
    return len(blocks) + 1, text + f"{PADDING_ID}{missing + 4:02X}" + "0" * missing


def read_optional(text: str, count: int) -> tuple[tuple[OptionalBlock, ...], int]:
    """Take optional blocks from the head of a text.

    Args:
        text: starts with the first block.
        count: how many there are.

    Returns:
        The blocks without padding blocks, and how many characters they took.

    Raises:
        KeyBlockError: ``AB`` too many, ``AC`` a block that cannot be.
    """
    if count > OPTIONAL_BLOCKS_MAX:
        raise KeyBlockError("AB", f"more than {OPTIONAL_BLOCKS_MAX} optional blocks")
    at, blocks = 0, []
    for _ in range(count):
        length, head = _optional_length(text[at : at + _LONG_HEAD_MAX])
        if length < head or len(text) < at + length:
            raise KeyBlockError("AC", "an optional block's length cannot be")
        name = text[at : at + 2]
        if name != PADDING_ID:
            blocks.append((name, text[at + head : at + length]))
        at += length
    return tuple(blocks), at


def _optional_length(head: str) -> tuple[int, int]:
    """How long an optional block is, and how much of that stands before its value.

    A length of 256 and more, or any that its maker writes so, is ``00``, the number of its bytes,
    and so many times two digits.
    """
    length, size = _hexadecimal(head[2:4]), 4
    if length == 0:
        size = 6 + 2 * _hexadecimal(head[4:6])
        if not 6 < size <= len(head):
            raise KeyBlockError("AC", "an optional block's length cannot be")
        length = _hexadecimal(head[6:size])
    return length, size


def _hexadecimal(digits: str) -> int:
    if not digits or digits.strip("0123456789ABCDEFabcdef"):
        raise KeyBlockError("AC", "an optional block's length is not hexadecimal")
    return int(digits, 16)


def read_header(text: str) -> tuple[BlockHeader, int]:
    """The header at the head of a key block.

    Args:
        text: a key block without its scheme letter.

    Returns:
        The header, and how many characters it took with its optional blocks.

    Raises:
        KeyBlockError: ``A5`` the length is not the text's, ``AB`` and ``AC`` optional blocks,
            ``B2`` anything else.
    """
    head = text[:HEADER_CHARACTERS]
    if len(head) < HEADER_CHARACTERS or not (head.isascii() and head.isalnum()):
        raise KeyBlockError("B2", "a key block starts with 16 letters and digits")
    if not head[1:5].isdecimal() or int(head[1:5]) != len(text):
        raise KeyBlockError("A5", "the key block is not as long as its header says")
    if not head[12:14].isdecimal():
        raise KeyBlockError("AB", "the number of optional blocks is no number")
    optional, size = read_optional(text[HEADER_CHARACTERS:], int(head[12:14]))
    header = BlockHeader(head[5:7], head[7], head[8], head[9:11], head[11], optional)
    return header, HEADER_CHARACTERS + size


def header_text(
    header: BlockHeader, version_id: str, key_characters: int, block_bytes: int, reserved: str
) -> str:
    """A header as text.

    Args:
        header: what to write.
        version_id: 1 character.
        key_characters: characters of everything after the header.
        block_bytes: the cipher's block size.
        reserved: the last two characters.

    Raises:
        KeyBlockError: ``AB``, ``AC`` or ``A5``, it would be too long.
    """
    count, optional = optional_text(header.optional, block_bytes)
    length = HEADER_CHARACTERS + len(optional) + key_characters
    if length > BLOCK_CHARACTERS_MAX or count > OPTIONAL_BLOCKS_MAX:
        raise KeyBlockError("A5", "the key block would be too long")
    return (
        f"{version_id}{length:04}{header.usage}{header.algorithm}{header.mode}{header.version}"
        f"{header.exportability}{count:02}{reserved}{optional}"
    )


def _optional_block(name: str, value: str) -> str:
    if len(name) != 2 or len(value) + _LONG_HEAD > BLOCK_CHARACTERS_MAX or not value.isascii():
        raise KeyBlockError("AC", "an optional block has an id of 2 characters and ASCII text")
    if len(value) + 4 <= 0xFF:
        return f"{name}{len(value) + 4:02X}{value}"
    return f"{name}0002{len(value) + _LONG_HEAD:04X}{value}"

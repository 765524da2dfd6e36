"""A request's body as a cursor: each call takes the next field or refuses the request.

Bodies are length driven and may hold raw bytes, so text is Latin-1: one character a byte. A command
takes its fields in order and ends with :meth:`Body.end`, which accepts the optional tail (``%`` and
LMK id, X'19' and trailer), refuses anything else, and says which LMK opens the keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from acquirer.hsm_sim.crypto.block_header import BlockHeader, OptionalBlock, read_optional
from acquirer.hsm_sim.crypto.errors import KeyBlockError
from acquirer.hsm_sim.crypto.pinblock import FORMATS, ISO_4, PinBlockFormat
from acquirer.hsm_sim.errors import Refusal
from acquirer.hsm_sim.key_attributes import ALGORITHMS, RequestedBlock, check_header
from acquirer.hsm_sim.key_types import KeyRole, key_type
from acquirer.hsm_sim.lmk import KeyField, LocalMasterKey
from acquirer.hsm_sim.state import ModuleState

TRAILER_CHARACTERS_MAX = 32

ACCOUNT_DIGITS = 12
LONG_ACCOUNT_PLACES = 18
CARD_NUMBER_DIGITS_MAX = 19

_FORMATS = {**FORMATS, ISO_4.code: ISO_4}
_TAIL = re.compile(r"(%[0-9]{2})?(\x19[^\x19]{0,32})?\Z", re.DOTALL)
_KEY_SIZES = {"U": 33, "X": 33, "T": 49, "Y": 49, "Z": 17}


class Body:
    """The cursor over one request.

    Attributes:
        at: where the cursor stands; put it back to read the same fields in another way.
        state: what the command may see of the module.
        trailer: X'19' and the message trailer to echo, or an empty string.
        requested: the request's ``#`` part, once its end has been read.
        exportability: its ``&`` part, or an empty string.
        account_number: the last account number taken, or an empty string.
        account_check: is called with each account number; may refuse it.
        ended: whether the request was read to its end.
        written_out: for the serial numbers to come, whether the F in front of them stand there.
    """

    __slots__ = (
        "_text",
        "account_check",
        "account_number",
        "at",
        "ended",
        "exportability",
        "requested",
        "state",
        "trailer",
        "written_out",
    )

    def __init__(self, text: str, at: int, state: ModuleState) -> None:
        self._text = text
        self.at = at
        self.state = state
        self.trailer = ""
        self.requested: RequestedBlock | None = None
        self.exportability = ""
        self.account_number = ""
        self.account_check: Callable[[str], None] | None = None
        self.ended = False
        self.written_out: list[bool] = []

    def take(self, size: int) -> str:
        """The next ``size`` characters, whatever they are.

        Raises:
            Refusal: 15, there are fewer.
        """
        at = self.at
        field = self._text[at : at + size]
        if len(field) != size:
            raise Refusal("15", f"the request ends at character {len(self._text)}, inside a field")
        self.at = at + size
        return field

    def peek(self, size: int = 1) -> str:
        """The next characters without taking them; fewer where the request ends."""
        return self._text[self.at : self.at + size]

    def optional(self, delimiter: str) -> bool:
        """Take a delimiter if it is there."""
        if self._text.startswith(delimiter, self.at):
            self.at += len(delimiter)
            return True
        return False

    def choice(self, allowed: str, code: str = "15") -> str:
        """The next character, which must be one of ``allowed``.

        Raises:
            Refusal: with ``code``.
        """
        char = self._text[self.at : self.at + 1]
        if not char or char not in allowed:
            raise Refusal(code, f"character {self.at} is none of {allowed}")
        self.at += 1
        return char

    def digits(self, size: int, code: str = "15") -> str:
        """The next ``size`` decimal digits.

        Raises:
            Refusal: with ``code``.
        """
        at = self.at
        field = self._text[at : at + size]
        if len(field) != size or not field.isdecimal():
            self.take(size)
            raise Refusal(code, f"no decimal digits before character {self.at}")
        self.at = at + size
        return field

    def number(self, size: int, code: str = "15") -> int:
        """The next ``size`` decimal digits as a number; errors as :meth:`digits`."""
        return int(self.digits(size, code))

    def hex_number(self, size: int, code: str = "15") -> int:
        """The next ``size`` hexadecimal digits as a number.

        Raises:
            Refusal: with ``code``.
        """
        return int.from_bytes(self.hex_bytes(size, code), "big")

    def hex_bytes(self, size: int, code: str = "15") -> bytes:
        """The bytes behind the next ``size`` (even) hexadecimal digits.

        Raises:
            Refusal: with ``code``.
        """
        at = self.at
        try:
            value = bytes.fromhex(self._text[at : at + size])
        except ValueError:
            value = b""
        if len(value) * 2 != size:
            self.take(size)
            raise Refusal(code, f"no hexadecimal digits before character {self.at}")
        self.at = at + size
        return value

    def binary(self, size: int, code: str = "15") -> bytes:
        """The next ``size`` raw bytes.

        Raises:
            Refusal: with ``code`` where there are fewer.
        """
        field = self.peek(size)
        if len(field) != size:
            raise Refusal(code, f"{len(field)} of {size} bytes are there")
        self.at += size
        return field.encode("latin-1")

    def until(self, delimiter: str, size_max: int) -> str:
        """The characters up to a delimiter, which is taken too.

        Raises:
            Refusal: 15, the delimiter does not come within ``size_max`` characters.
        """
        end = self._text.find(delimiter, self.at, self.at + size_max + len(delimiter))
        if end < 0:
            raise Refusal("15", f"no {delimiter!r} within {size_max} characters")
        field = self._text[self.at : end]
        self.at = end + len(delimiter)
        return field

    def data(self, input_format: str, length: int) -> bytes:
        """Message data in one of M0's and M6's input formats.

        Args:
            input_format: ``0`` binary, ``1`` hexadecimal, ``2`` text.
            length: characters as they stand in the request.

        Raises:
            Refusal: 80 there is less, 15 no hexadecimal digits.
        """
        raw = self.binary(length, "80")
        if input_format != "1":
            return raw
        try:
            value = bytes.fromhex(raw.decode("latin-1"))
        except ValueError:
            value = b""
        if len(value) * 2 != length:
            raise Refusal("15", "the data is not hexadecimal")
        return value

    def rest(self) -> bytes:
        """Everything up to what looks like the tail, for messages without a length."""
        tail = _TAIL.search(self._text, self.at)
        end = tail.start() if tail else len(self._text)
        field = self._text[self.at : end]
        self.at = end
        return field.encode("latin-1")

    def key(self, role: KeyRole, bare_hex: int = 0) -> KeyField:
        """The next key, still closed; open it with the LMK that :meth:`end` gives.

        Args:
            role: what the command wants of it.
            bare_hex: digits of a key without scheme letter, where the role does not say.

        Raises:
            Refusal: 15, the request ends inside it.
        """
        return (role, self.key_text(bare_hex or role.bare_hex))

    def key_text(self, bare_hex: int = 16) -> str:
        """The text of the next key of any scheme; 0 means as long as a ZMK."""
        text, at = self._text, self.at
        letter = text[at : at + 1]
        size = _KEY_SIZES.get(letter)
        if size is None:
            if letter in ("S", "R"):
                size = 1 + self._block_size(at)
            elif bare_hex:
                size = bare_hex
            else:
                size = 32 if self.state.settings.zmk_length == "double" else 16
        field = text[at : at + size]
        if len(field) != size:
            raise Refusal("15", f"the request ends inside the key at character {at}")
        self.at = at + size
        return field

    def key_type(self, code: str = "04") -> KeyRole:
        """A key type of three characters.

        Raises:
            Refusal: with ``code``, there is no such type.
        """
        return key_type(self.take(3), code)

    def pin_format(self) -> PinBlockFormat:
        """A PIN block format code.

        Raises:
            Refusal: 23, there is no such format.
        """
        at = self.at
        found = _FORMATS.get(self._text[at : at + 2])
        if found is None:
            self.take(2)
            raise Refusal("23", "there is no such PIN block format")
        self.at = at + 2
        return found

    def account(self) -> str:
        """An account number of 12 digits.

        Raises:
            Refusal: 22, or what ``account_check`` says.
        """
        self.account_number = self.digits(ACCOUNT_DIGITS, "22")
        if self.account_check is not None:
            self.account_check(self.account_number)
        return self.account_number

    def long_account(self) -> str:
        """An account number of 12 to 18 digits in 18 places, ``F`` in those before it.

        Raises:
            Refusal: 22, or what ``account_check`` says.
        """
        field = self.take(LONG_ACCOUNT_PLACES).lstrip("F")
        if len(field) < ACCOUNT_DIGITS or not (field.isascii() and field.isdecimal()):
            raise Refusal("22", "PIN block format 04 asks for an account number in 18 places")
        self.account_number = field[-ACCOUNT_DIGITS:]
        if self.account_check is not None:
            self.account_check(self.account_number)
        return field

    def card_number(self) -> str:
        """A whole card number and the ``;`` after it, as ISO format 4 wants it.

        Raises:
            Refusal: 22, or what ``account_check`` says.
        """
        end = self._text.find(";", self.at, self.at + CARD_NUMBER_DIGITS_MAX + 1)
        pan = self._text[self.at : end] if end > self.at else ""
        if not pan.isdecimal():
            raise Refusal("22", "PIN block format 48 asks for a whole card number and ;")
        self.at = end + 1
        self.account_number = pan[:-1][-ACCOUNT_DIGITS:].rjust(ACCOUNT_DIGITS, "0")
        if self.account_check is not None:
            self.account_check(self.account_number)
        return pan

    def ahead(self) -> Body:
        """A cursor of its own on the same place, to look ahead with; it checks no account."""
        return Body(self._text, self.at, self.state)

    def fits(self, size: int) -> bool:
        """Whether ``size`` characters are there and the request or its tail follows on them."""
        end = self.at + size
        return end <= len(self._text) and self._text[end : end + 1] in ("", "%", "\x19")

    def at_tail(self) -> bool:
        """Whether the request ends here, or its tail begins."""
        return self.peek() in ("", "%", "#", "&", "\x19")

    def end(self, *, attributes: bool = False, formed: bool = False) -> LocalMasterKey:
        """Take the optional tail and nothing else.

        Args:
            attributes: whether the command knows ``#`` and ``&`` parts.
            formed: whether its ``#`` part holds a version number and optional blocks only.

        Returns:
            The LMK that opens the request's keys.

        Raises:
            Refusal: 13 unknown LMK id, A6 to AC a ``#`` or ``&`` part that cannot be, 15 something
                stands after the last field.
        """
        text, at = self._text, self.at
        lmk = self.state.default_lmk
        if at == len(text):
            self.ended = True
            return lmk
        if attributes:
            self._attributes(formed)
            at = self.at
        if text[at : at + 1] == "%":
            lmk = self.state.lmk(text[at + 1 : at + 3])
            at += 3
        if attributes:
            self.at = at
            self._attributes(formed)
            at = self.at
        if text[at : at + 1] == "\x19" and len(text) - at - 1 <= TRAILER_CHARACTERS_MAX:
            self.trailer = text[at:]
            at = len(text)
        if at != len(text):
            raise Refusal("15", f"{len(text) - at} characters stand after the last field")
        self.at = at
        self.ended = True
        return lmk

    def echo_trailer(self) -> None:
        """Keep the trailer of a request that was refused before its end, where one shows.

        Binary bodies may hold X'19' too, so only printable characters after it are taken for one.
        """
        if not self.trailer:
            start = self._text.rfind("\x19", max(self.at, len(self._text) - 33))
            tail = self._text[start + 1 :]
            if start >= 0 and tail.isascii() and tail.isprintable():
                self.trailer = self._text[start:]

    def _attributes(self, formed: bool) -> None:
        """Take ``#`` and ``&`` parts where they stand."""
        if self.requested is None and self.optional("#"):
            self.requested = self._formed_block() if formed else self._requested_block()
        if not self.exportability and self.optional("&"):
            self.exportability = self.choice("ENS", "AA")

    def _requested_block(self) -> RequestedBlock:
        usage, algorithm = self.take(2), ALGORITHMS.get(self.take(2))
        if algorithm is None:
            raise Refusal("A7", f"the algorithms are {', '.join(ALGORITHMS)}")
        mode, version, exportability = self.take(1), self.take(2), self.take(1)
        blocks = self._optional_blocks()
        header = BlockHeader(usage, algorithm[0], mode, version, exportability, blocks)
        check_header(header)
        return RequestedBlock(header, algorithm[1])

    def _formed_block(self) -> RequestedBlock:
        version = self.take(2)
        return RequestedBlock(BlockHeader("", "", "", version, "", self._optional_blocks()), 0)

    def _optional_blocks(self) -> tuple[OptionalBlock, ...]:
        try:
            blocks, size = read_optional(self._text[self.at + 2 :], self.number(2, "AB"))
        except KeyBlockError as error:
            raise Refusal(error.code, str(error)) from None
        self.at += size
        return blocks

    def _block_size(self, at: int) -> int:
        length = self._text[at + 2 : at + 6]
        if len(length) != 4 or not length.isdecimal():
            raise Refusal("A5", "a key block's header holds no length")
        return int(length)

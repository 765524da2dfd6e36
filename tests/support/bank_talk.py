"""What the switch and the bank say while the conversation of ``terminal_talk.py`` goes on.

Recorded on the link; run this file to write the frames into ``docs/interfaces/bank-link.md``.
"""

from __future__ import annotations

from pathlib import Path

from terminal_talk import Frames, conversation_and_link, des, page_with, x919

from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.message import Message

PAGE = Path(__file__).parents[2] / "docs" / "interfaces" / "bank-link.md"
DIALECT = load_dialect("iso87_ascii")
# The first message of each of these is shown, by MTI, DE3 and DE70.
NAMES = {
    ("0800", "", "001"): "sign-on",
    ("0800", "", "101"): "key exchange",
    ("0200", "310000", ""): "balance inquiry",
    ("0200", "000000", ""): "sale",
    ("0100", "030000", ""): "pre-authorisation",
    ("0220", "000000", ""): "completion",
    ("0200", "200000", ""): "void",
    ("0220", "200000", ""): "refund",
    ("0400", "000000", ""): "reversal",
}
# Beside these, the first request with each item of DE48.
ITEMS = {"IN": "instalment", "QR": "sale to a code", "CV": "sale by telephone"}
RAW = frozenset({52, 55, 64, 128})


def _shown(frame: bytes, message: Message) -> str:
    lines = [f"{len(frame):04X}  length {len(frame)}", f"{message.mti}  MTI, then the bitmap"]
    for number, value in message.fields.items():
        lines.append(f"DE{number:<3} {value.upper() if number in RAW else value}")
    text = frame.hex().upper()
    lines += [text[at : at + 96] for at in range(0, len(text), 96)]
    return "\n".join(line.rstrip() for line in lines)


def talk() -> Frames:
    """Frames by name, with the keys of the link."""
    said, estate = conversation_and_link()[1:]
    frames: Frames = {}
    waiting: dict[str, str] = {}
    for frame in said:
        message = DIALECT.decode(frame)
        key = (message.mti, message.get(3), message.get(70))
        name = NAMES.get(key, "")
        if message.mti == "0200" and message.get(48):
            name = ITEMS[message.get(48)[:2]]
        if name and f"{name}, request" not in frames:
            frames[f"{name}, request"] = _shown(frame, message)
            waiting[message.get(11)] = name
        elif message.mti[2] in "13" and message.get(11) in waiting:
            frames[f"{waiting.pop(message.get(11))}, reply"] = _shown(frame, message)
    zmk = bytes.fromhex(estate.banks[0].zmk)
    frames |= _keys(zmk, said)
    return frames


def _keys(zmk: bytes, said: list[bytes]) -> Frames:
    reply = next(
        message
        for message in map(DIALECT.decode, said)
        if message.get(48) and message.get(70) == "101"
    )
    zpk, zak = (des(zmk).decrypt(bytes.fromhex(part)) for part in _parts(reply.get(48)))
    sale = next(
        frame for frame in said if DIALECT.decode(frame).processing_code == "000000" and frame[-8:]
    )
    assert x919(zak, sale[:-8]) == sale[-8:], "the page's MAC is not the link's"
    text = f"ZMK  {zmk.hex().upper()}\nZPK  {zpk.hex().upper()}\nZAK  {zak.hex().upper()}"
    return {"keys": text}


def _parts(keys: str) -> list[str]:
    """The two cryptograms of DE48: each is scheme X, 32 digits, and a check value of 6."""
    half = len(keys) // 2
    return [part[1:33] for part in (keys[:half], keys[half:])]


def main() -> None:
    """Write the page."""
    PAGE.write_text(page_with(talk(), PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()

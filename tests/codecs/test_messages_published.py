"""Every message of tests/vectors/messages.json, real traffic from public sources."""

import json
from pathlib import Path
from typing import Any

import pytest

from acquirer.codecs.capture import open_capture
from acquirer.codecs.dialect import Dialect, load_dialect

VECTORS = Path(__file__).parents[1] / "vectors" / "messages.json"
MESSAGES: list[dict[str, Any]] = json.loads(VECTORS.read_text("utf-8"))["messages"]

LOCAL = {
    "iso87a-moov": 'extends = "iso87_ascii"\nbitmap = "hex"\n',
    "iso87a-nao": 'extends = "iso87_ascii_hex"\nsecondary_bitmap = "always"\n',
    "basei": (
        'extends = "iso87_ascii"\nbitmap = "hex"\nsecondary_bitmap = "always"\n'
        '[defaults]\nseparator = "D"\n'
    ),
    "iso93e": (
        'extends = "iso87_ebcdic"\n[fields]\n12 = { type = "n", length = 12 }\n'
        '24 = { type = "n", length = 3 }\n39 = { type = "n", length = 3 }\n'
    ),
}


def dialect_of(message: dict[str, Any], folder: Path) -> Dialect:
    """The shipped dialect, or one that its vendor's habits need, written to ``folder``."""
    for start, text in LOCAL.items():
        if message["id"].startswith(start):
            path = folder / f"{start}.toml"
            path.write_text(text, "utf-8")
            return load_dialect(str(path))
    return load_dialect("cup_pos")


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: m["id"])
def test_published_message_decodes_as_its_source_says(
    message: dict[str, Any], tmp_path: Path
) -> None:
    """Fields, TPDU and header are what the source of the message gives."""
    found = open_capture(bytes.fromhex(message["hex"]), dialect_of(message, tmp_path))

    assert found.error is None
    assert found.message is not None
    values = {str(number): value for number, value in found.message.fields.items()}
    values["t"] = found.message.mti
    expected = message["expected"]
    assert expected == {key: values[key] for key in expected}
    framing = message["framing"]
    assert framing.get("tpdu", "") + framing.get("header", "") == found.envelope.hex().upper()


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: m["id"])
def test_published_message_encodes_to_the_same_bytes(
    message: dict[str, Any], tmp_path: Path
) -> None:
    """Decoding and encoding again gives the bytes that were captured."""
    dialect = dialect_of(message, tmp_path)
    found = open_capture(bytes.fromhex(message["hex"]), dialect)

    assert found.message is not None
    assert found.raw == dialect.encode(found.message)


def test_published_terminal_messages_carry_a_right_length_prefix() -> None:
    """The length prefix counts TPDU, header and message, but not itself."""
    framed = [m for m in MESSAGES if m["framing"]]
    dialect = load_dialect("cup_pos")

    lengths = [open_capture(bytes.fromhex(m["hex"]), dialect).length for m in framed]

    assert [len(m["hex"]) // 2 - 2 for m in framed] == lengths

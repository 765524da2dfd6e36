"""``acquirer decode``: prints captured messages field by field, masked.

Only rendering lives here: finding the message is ``codecs/capture.py``, its words are
``codecs/explain.py``, what may be shown is ``codecs/masking.py``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table

from acquirer.cli.screen import Screen, print_json, say
from acquirer.codecs.capture import Capture, open_capture
from acquirer.codecs.dialect import Dialect, load_dialect
from acquirer.codecs.errors import CodecError, DialectError, RemoteFormatError
from acquirer.codecs.explain import (
    Line,
    explain_envelope,
    plain_text,
    shown_fields,
    shown_keys,
    shown_parts,
)
from acquirer.codecs.explain_broken import explain_found, remains_of

MESSAGE_BYTES_MAX = 65_536
_LINE_CHARACTERS_MAX = MESSAGE_BYTES_MAX * 3


def decode(
    hex_message: Annotated[
        str,
        typer.Argument(metavar="HEX", help="One message in hexadecimal, or - for one a line."),
    ],
    dialect: Annotated[
        str, typer.Option("--dialect", "-d", help="A shipped dialect, or a .toml file's path.")
    ] = "cup_pos",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a message.")] = False,
    encoding: Annotated[
        str,
        typer.Option(
            "--encoding",
            help="Character set of a terminal's text. Without it gb18030 in cup_pos and in DE59, "
            "else as the dialect says.",
        ),
    ] = "",
) -> None:
    """Print a message field by field, masked, with TPDU, header and bitmap explained.

    HEX is a message, with or without its length prefix, TPDU and header. PIN blocks stay hidden; of
    the working keys in a sign-on's reply name, length and check value are told (``keys`` in JSON).
    Of a message that does not decode whatever can be read is shown, all that is wrong, and the rest
    in hexadecimal. The exit code is 1 if any message did not decode.

    Examples:

      acquirer decode 082000000000000000100011000000013010

      acquirer decode --dialect iso87_ascii --json -
    """
    try:
        chosen = load_dialect(dialect)
        "".encode(encoding or "ascii")
    except DialectError as error:
        raise typer.BadParameter(str(error), param_hint="--dialect") from None
    except (LookupError, UnicodeError):
        raise typer.BadParameter(f"no encoding {encoding}", param_hint="--encoding") from None
    failed = False
    texts = _stdin_lines() if hex_message == "-" else iter([hex_message])
    for index, text in enumerate(texts):
        found = _open(text, chosen)
        failed |= found.error is not None
        if as_json:
            print_json(_as_object(found, chosen, encoding))
        else:
            if index:
                say()
            _print(found, chosen, encoding)
    if failed:
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("decode")(decode)


def _stdin_lines() -> Iterator[str]:
    """The lines of standard input that are not blank, each cut at the limit."""
    stream = sys.stdin.buffer
    while line := stream.readline(_LINE_CHARACTERS_MAX):
        rest = line
        while len(rest) == _LINE_CHARACTERS_MAX and not rest.endswith(b"\n"):
            rest = stream.readline(_LINE_CHARACTERS_MAX)
        text = line.decode("latin-1").strip()
        if text:
            yield text


def _open(text: str, dialect: Dialect) -> Capture:
    digits = "".join(text.split()).replace(":", "")
    try:
        data = bytes.fromhex(digits)
    except ValueError:
        wrong = digits.strip("0123456789abcdefABCDEF")
        why = repr(wrong[0]) if wrong else "an odd number of digits"
        return _unreadable(f"not hexadecimal: {why}")
    if not 0 < len(data) <= MESSAGE_BYTES_MAX:
        return _unreadable(f"a message is 1 to {MESSAGE_BYTES_MAX} bytes")
    return open_capture(data, dialect)


def _unreadable(text: str) -> Capture:
    return Capture(None, b"", b"", b"", None, RemoteFormatError(text))


def _as_object(found: Capture, dialect: Dialect, encoding: str) -> dict[str, Any]:
    remains = remains_of(found, dialect)
    shown = shown_fields(remains.mti, remains.fields, dialect, encoding)
    tpdu_bytes = 5 if dialect.has_tpdu else 0
    return {
        "mti": remains.mti or None,
        "fields": {str(number): text for number, text in shown.items()},
        "parts": _parts(remains.fields, dialect),
        "keys": _keys(remains.mti, remains.fields, dialect),
        "error": "; ".join(map(str, remains.errors)) or None,
        "broken": {str(number): text for number, text in remains.broken.items()},
        "rest": remains.rest or None,
        "framing": found.framing if found.raw else None,
        "length": found.length,
        "tpdu": found.envelope[:tpdu_bytes].hex().upper() or None,
        "header": found.envelope[tpdu_bytes:].hex().upper() or None,
        "trailer": found.trailer.hex().upper() or None,
        "bitmap": dialect.bitmap.read(found.raw).hex().upper() or None,
    }


def _keys(mti: str, fields: dict[int, str], dialect: Dialect) -> list[dict[str, Any]]:
    """The working keys that a reply brings, without the keys; none where DE62 has another shape."""
    try:
        return [asdict(key) for key in shown_keys(mti, fields, dialect)]
    except CodecError:
        return []


def _parts(fields: dict[int, str], dialect: Dialect) -> dict[str, dict[str, str]]:
    """The parts of fields that the dialect cuts; none of a field that has another shape."""
    found: dict[str, dict[str, str]] = {}
    for number, value in fields.items():
        with suppress(CodecError):
            found |= {str(n): parts for n, parts in shown_parts({number: value}, dialect).items()}
    return found


def _print(found: Capture, dialect: Dialect, encoding: str) -> None:
    lines: list[Line] = []
    if found.raw:
        lines.append(Line("found", "", found.framing))
    if found.length is not None:
        lines.append(Line("length", f"{found.length} bytes follow", found.prefix.hex().upper()))
    lines += explain_envelope(found.envelope, dialect)
    lines += explain_found(found, dialect, encoding)
    if found.trailer:
        lines.append(Line("trailer", "", found.trailer.hex().upper()))
    if sys.stdout.isatty():
        _print_table(lines)
    else:
        for line in plain_text(lines).splitlines():
            say(line)


def _print_table(lines: list[Line]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(justify="right", style="cyan", no_wrap=True)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for line in lines:
        style = "red" if line.key == "error" else "dim" if line.depth else None
        table.add_row(line.key, "  " * line.depth + line.name, line.value, style=style)
    Screen().print(table)

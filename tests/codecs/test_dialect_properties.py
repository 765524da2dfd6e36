"""Properties of every shipped dialect, with fields generated from the dialect's own file."""

import contextlib
import json
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acquirer.codecs.capture import open_capture
from acquirer.codecs.dialect import Dialect, load_dialect
from acquirer.codecs.dialect_source import shipped_dialects
from acquirer.codecs.errors import CodecError, LocalFormatError, RemoteFormatError
from acquirer.codecs.explain import explain_message, plain_text
from acquirer.codecs.message import Message

DIALECTS = shipped_dialects()
VECTORS = Path(__file__).parents[1] / "vectors" / "messages.json"
REAL = [bytes.fromhex(m["hex"]) for m in json.loads(VECTORS.read_text("utf-8"))["messages"]]
ASCII_TEXT = st.characters(min_codepoint=32, max_codepoint=126)


def formats(name: str) -> dict[int, dict[str, Any]]:
    """The fields of a dialect's file and of those it extends, as written."""
    file = resources.files("acquirer.codecs").joinpath("dialects", f"{name}.toml")
    source = tomllib.loads(file.read_text("utf-8"))
    own = {int(key): entry for key, entry in source.get("fields", {}).items()}
    return {**formats(source["extends"]), **own} if "extends" in source else own


def values(entry: dict[str, Any]) -> st.SearchStrategy[str]:
    """Values that a field of this format can hold."""
    low, high = (entry["length"],) * 2 if "length" in entry else (0, min(entry["max"], 40))
    kind = entry["type"]
    if kind in ("b", "raw"):
        return st.binary(min_size=low, max_size=high).map(lambda raw: raw.hex().upper())
    alphabet: Any = {"n": "0123456789", "z": "0123456789D"}.get(kind, ASCII_TEXT)
    return st.text(alphabet, min_size=low, max_size=high)


def messages(name: str) -> st.SearchStrategy[Message]:
    """Whole messages of a dialect."""
    optional = {number: values(entry) for number, entry in formats(name).items()}
    fields = st.fixed_dictionaries({}, optional=optional)
    mti = st.text("0123456789", min_size=4, max_size=4)
    return st.builds(lambda m, f: Message(m, dict(sorted(f.items()))), mti, fields)


@pytest.mark.parametrize("name", DIALECTS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_decode_reverses_encode(name: str, data: st.DataObject) -> None:
    """decode(encode(m)) == m, whatever fields the message has."""
    dialect = load_dialect(name)
    message = data.draw(messages(name))
    # Digits that say that tracks are enciphered change what a track may hold.
    if message.get(53)[2:3] == "1":
        message.fields[53] = "2600000000000000"

    raw = dialect.encode(message)

    assert message == dialect.decode(raw)


@pytest.mark.parametrize("name", DIALECTS)
@settings(max_examples=150, deadline=None)
@given(raw=st.binary(max_size=300))
def test_decode_of_any_bytes_raises_nothing_but_its_own_error(name: str, raw: bytes) -> None:
    """Arbitrary bytes give a message or a CodecError that names a field."""
    decode_and_explain(load_dialect(name), raw)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), name=st.sampled_from(DIALECTS))
def test_decode_of_damaged_messages_raises_nothing_but_its_own_error(
    data: st.DataObject, name: str
) -> None:
    """Real messages with bytes changed, cut or inserted give a message or a CodecError."""
    dialect = load_dialect(name)
    raw = bytearray(open_capture(data.draw(st.sampled_from(REAL)), dialect).raw)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw)))
        cut = data.draw(st.integers(0, 3))
        raw[at : at + cut] = data.draw(st.binary(max_size=3))

    decode_and_explain(dialect, bytes(raw))


def decode_and_explain(dialect: Dialect, raw: bytes) -> None:
    """Decode and explain, as a tool would; encode what was decoded."""
    refused: RemoteFormatError | None = None
    try:
        message = dialect.decode(raw)
    except RemoteFormatError as error:
        refused = error
    if refused:
        assert refused.field
        assert 0 <= refused.offset <= len(raw)
        assert refused.partial.items() <= refused.readable.items()
        plain_text(explain_message(refused.partial.get(0, ""), refused.partial, dialect, raw=raw))
        return
    plain_text(explain_message(message.mti, message.fields, dialect, raw=raw))
    assert message.fields == dialect.decode(dialect.encode(message)).fields


@settings(max_examples=200, deadline=None)
@given(
    name=st.sampled_from(DIALECTS),
    mti=st.text(max_size=5),
    fields=st.dictionaries(st.integers(-1, 200), st.text(max_size=20), max_size=5),
)
def test_encode_of_any_values_raises_nothing_but_its_own_error(
    name: str, mti: str, fields: dict[int, str]
) -> None:
    """Values that no field can hold are refused with LocalFormatError."""
    with contextlib.suppress(LocalFormatError):
        load_dialect(name).encode(Message(mti, fields))


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=120), name=st.sampled_from(DIALECTS))
def test_open_capture_never_raises(data: bytes, name: str) -> None:
    """Whatever was captured, it comes back opened, with a message or an error."""
    found = open_capture(data, load_dialect(name))

    assert (found.message is None) <= isinstance(found.error, CodecError)
    assert data == found.prefix + found.envelope + found.raw + found.trailer


@settings(max_examples=400, deadline=None)
@given(
    name=st.sampled_from(DIALECTS),
    number=st.integers(2, 128),
    value=st.one_of(
        st.text(max_size=30),
        st.text("0123456789", max_size=50),
        st.text("0123456789ABCDEF", max_size=50),
        st.text("0123456789D=", max_size=40),
        st.text(ASCII_TEXT, max_size=50),
    ),
)
def test_what_fits_is_what_encode_takes(name: str, number: int, value: str) -> None:
    """One answer before, the other after: whatever the field and the value."""
    dialect = load_dialect(name)
    try:
        dialect.encode(Message("0210", {number: value}))
    except LocalFormatError:
        assert not dialect.fits(number, value)
    else:
        assert dialect.fits(number, value)


@pytest.mark.parametrize("name", DIALECTS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_what_a_message_holds_fits(name: str, data: st.DataObject) -> None:
    """Every value of a message that can be written."""
    dialect = load_dialect(name)
    for number, value in data.draw(messages(name)).fields.items():
        assert dialect.fits(number, value)

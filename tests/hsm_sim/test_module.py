"""The engine: headers, tails, refusals, and that nothing ever escapes it."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from acquirer.hsm_sim import operator
from acquirer.hsm_sim.body import Body
from acquirer.hsm_sim.commands import COMMANDS
from acquirer.hsm_sim.commands.reply import Command
from acquirer.hsm_sim.crypto import pinblock
from acquirer.hsm_sim.errors import ERROR_TEXTS, HsmConfigError
from acquirer.hsm_sim.lmk import TEST_VARIANT_PAIRS, VariantLmk
from acquirer.hsm_sim.module import SecurityModule
from acquirer.hsm_sim.state import Settings

ClearAndText = tuple[bytes, str]

FUZZED = SecurityModule.with_test_lmks(Settings(header_length=0, test_lmk=True))
TPK = operator.wrap_key(FUZZED.state.default_lmk, "002", bytes(range(16)), "U")
ZPK = operator.wrap_key(FUZZED.state.default_lmk, "001", bytes(range(16, 32)), "U")
TAK = operator.wrap_key(FUZZED.state.default_lmk, "003", bytes(range(32, 48)), "X")

fields = st.sampled_from(
    [TPK, ZPK, TAK, "0", "1", "003", "002", "12", "01", "0010", ";", "%", "%00", "\x19", "U",
     "S0007271TN00E0001", "R", "0123456789ABCDEF", "FF", "F", "N", "400000123456", "²"]
)  # fmt: skip
bodies = st.lists(fields | st.text(st.characters(max_codepoint=255), max_size=20), max_size=12)


@pytest.mark.parametrize("length", [0, 4, 12, 255])
def test_header_is_echoed(length: int) -> None:
    """The header comes back unchanged whatever it holds."""
    module = SecurityModule.with_test_lmks(Settings(header_length=length, test_lmk=True))
    header = bytes(range(256))[-length:] if length else b""
    expected = header + b"ND0026860476470449110007-E000"
    assert expected == module.execute(header + b"NC")


@pytest.mark.parametrize(
    ("request_bytes", "reply"),
    [
        (b"NC%00", b"ND0026860476470449110007-E000"),
        (b"NC\x19end", b"ND0026860476470449110007-E000\x19end"),
        (b"NC%00\x19", b"ND0026860476470449110007-E000\x19"),
        (b"NC%09", b"ND13"),
        (b"NC%09\x19end", b"ND13\x19end"),
        (b"NC\x19" + b"x" * 33, b"ND15"),
        (b"NCx", b"ND15"),
        (b"NO02", b"NP15"),
        (b"NO00", b"NP0031640007-E00000000"),
        (b"QQ\x19end", b"QR68\x19end"),
        (b"\xfe\xff", b"\xfe\x0068"),
        (b"N", b"51"),
        (b"", b"51"),
        (b"B20003abc", b"B300abc"),
        (b"N0257", b"N115"),
    ],
)
def test_tails_and_unknown_commands(
    module: SecurityModule, request_bytes: bytes, reply: bytes
) -> None:
    """LMK id and trailer, unknown commands, requests that are no commands."""
    assert reply == module.execute(request_bytes)


def test_random_values(module: SecurityModule) -> None:
    """N0 gives as many raw bytes as asked for."""
    assert len(module.execute(b"N0256")) == 260


def test_test_lmks_need_permission() -> None:
    """The published LMK is refused unless the settings allow it, however it is brought in."""
    with pytest.raises(HsmConfigError, match="test_lmk"):
        SecurityModule.with_test_lmks(Settings())
    with pytest.raises(HsmConfigError, match="test_lmk"):
        SecurityModule({"00": VariantLmk(TEST_VARIANT_PAIRS)}, settings=Settings())
    with pytest.raises(HsmConfigError, match="test_lmk"):
        operator.variant_test_lmk(test_lmk=False)


def test_other_lmks_need_none() -> None:
    """A production LMK has its own check value, and does not open test keys."""
    pairs = tuple(bytes([n]) * 8 + bytes([n + 1]) * 8 for n in range(20))
    module = SecurityModule({"07": VariantLmk(pairs)}, default_lmk="07", settings=Settings())
    assert module.execute(b"0000NC%07")[:8] == b"0000ND00"
    assert module.execute(b"0000NC")[8:14] != b"268604"
    request = f"0000BU021{TPK}".encode()
    assert module.execute(request) == b"0000BV10"


def test_counts(module: SecurityModule) -> None:
    """Calls and errors are counted per command."""
    for request in (b"NC", b"NC", b"NC%99", b"QQ", b"ZZ"):
        module.execute(request)
    assert (
        module.counts["NC"].calls,
        module.counts["NC"].errors,
        module.unknown_count,
    ) == (3, 1, 2)


def test_a_refusal_keeps_no_frames(module: SecurityModule) -> None:
    """What is remembered of a refused command does not hold its variables alive."""
    module.execute(b"A6001U" + b"0" * 32 + b"RB0")
    refusal = module.last_refusal
    assert refusal is not None
    assert (refusal.__traceback__, refusal.__context__) == (None, None)


def test_internal_errors_are_answered() -> None:
    """A fault in a command is code 41, and its message does not reach the log."""

    def faulty(body: Body) -> str:
        raise ValueError("secret " + body.take(4))

    lmk = operator.variant_test_lmk(test_lmk=True)
    module = SecurityModule(
        {"00": lmk},
        settings=Settings(header_length=0, test_lmk=True),
        commands={"ZZ": Command("Fails", faulty)},
    )
    with capture_logs() as logged:
        assert module.execute(b"ZZ1234") == b"Z[41"
    assert [(event["event"], event.get("error")) for event in logged] == [
        ("hsm_internal_error", "ValueError"),
        ("hsm_refused", None),
    ]
    assert "1234" not in repr(logged)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(COMMANDS)), bodies)
def test_any_body_is_answered(code: str, parts: list[str]) -> None:
    """Every command answers anything with its reply code and a known error code, never 41."""
    reply = FUZZED.execute((code + "".join(parts)).encode("latin-1")).decode("latin-1")
    assert reply[:2] == code[0] + chr(ord(code[1]) + 1)
    assert reply[2:4] in ERROR_TEXTS
    assert reply[2:4] != "41"


@given(st.binary(max_size=60))
def test_any_bytes_are_answered(request_bytes: bytes) -> None:
    """Whatever comes, something goes back."""
    assert FUZZED.execute(request_bytes)


def test_nothing_secret_is_logged(
    module: SecurityModule,
    key: Callable[[str, str, str], ClearAndText],
) -> None:
    """Refusals say why without key, PIN, block or account number."""
    tpk, zpk = key("002", "11" * 8 + "23" * 8, "U"), key("001", "45" * 8 + "67" * 8, "U")
    block = pinblock.encode_iso0("4711", "400000123456").hex().upper()
    secrets = [tpk[1], zpk[1], tpk[0].hex(), block, "4711", "400000123456"]
    with capture_logs() as events:
        for request in (
            f"CA{tpk[1]}{zpk[1]}12{block}0101400000123456",
            f"CA{zpk[1]}{tpk[1]}12{block}0101400000123456",
            f"CA{tpk[1]}{zpk[1]}12{block}0199400000123456",
            f"CA{tpk[1]}{zpk[1]}12{block}01014000001234567",
            "BA4711400000123456",
            f"DC{tpk[1]}{tpk[1]}{block}0140000012345612345",
            f"QQ{tpk[1]}",
        ):
            module.execute(request.encode())
    logged = repr(events).upper()
    assert len(events) == 7
    assert [secret for secret in secrets if secret.upper() in logged] == []
    assert tpk[1] not in repr(module) + repr(module.state.default_lmk)

"""Key commands: what leaves opens again, and what must not pass does not."""

from collections.abc import Callable

import pytest

from acquirer.hsm_sim import schemes
from acquirer.hsm_sim.crypto import des, kcv
from acquirer.hsm_sim.key_types import KEY_TYPES
from acquirer.hsm_sim.module import SecurityModule
from acquirer.hsm_sim.state import Settings

Send = Callable[[str], str]
ClearAndText = tuple[bytes, str]
KeyMaker = Callable[[str, str, str], ClearAndText]

SIZES = {"Z": 16, "U": 33, "T": 49, "X": 33, "Y": 49}


@pytest.mark.parametrize("scheme", sorted(SIZES))
@pytest.mark.parametrize("key_type", ["000", "001", "002", "003", "402", "609", "00B"])
def test_a0_generates(module: SecurityModule, send: Send, key_type: str, scheme: str) -> None:
    """A0 gives a key of the scheme's form, of odd parity, with its KCV."""
    reply = send(f"A00{key_type}{scheme}")
    text, check = reply[4 : 4 + SIZES[scheme]], reply[4 + SIZES[scheme] :]
    opened = module.state.default_lmk.key((KEY_TYPES[key_type], text))
    assert ("A100", check) == (reply[:4], opened.kcv())
    assert des.has_odd_parity(opened.clear)


@pytest.mark.parametrize(("flag", "scheme"), [("", "X"), (";0", "U"), (";1", "X")])
def test_a0_generates_and_exports(
    module: SecurityModule,
    send: Send,
    zmk: ClearAndText,
    tmk: ClearAndText,
    flag: str,
    scheme: str,
) -> None:
    """Mode 1 gives the same key under the LMK and under the ZMK or TMK."""
    clear, text = tmk if flag == ";1" else zmk
    reply = send(f"A01001U{flag}{text}{scheme}")
    opened = module.state.default_lmk.key((KEY_TYPES["001"], reply[4:37]))
    assert opened.clear == schemes.unwrap(clear, reply[37:70])
    assert opened.kcv() == reply[70:]


def test_import_of_an_export(send: Send, zmk: ClearAndText, tpk: ClearAndText) -> None:
    """A8 and A6 are each other's reverse in every double-length scheme."""
    for scheme in "UX":
        exported = send(f"A8002{zmk[1]}{tpk[1]}{scheme}")
        assert f"A900{scheme}" == exported[:5]
        assert f"A700{tpk[1]}{kcv.kcv(tpk[0])}" == send(f"A6002{zmk[1]}{exported[4:37]}U")


def test_import_mends_parity(send: Send, zmk: ClearAndText) -> None:
    """A key of even parity is taken with advisory 01, its parity put right."""
    wrapped = schemes.wrap(zmk[0], bytes.fromhex("00112233445566770123456789ABCDEF"), "X")
    reply = send(f"A6001{zmk[1]}{wrapped}U")
    assert reply[:5] == "A701U"
    assert "A701" + reply[4:] == send(f"A6001{zmk[1]}{wrapped}U")


@pytest.mark.parametrize(
    ("request_text", "code"),
    [
        ("A00999U", "04"),
        ("A00001Q", "26"),
        ("A02001U", "15"),
        ("A00001U1", "15"),
        ("A00001", "26"),
        ("A00001U%07", "13"),
        ("A41001U", "03"),
    ],
)
def test_refusals(send: Send, request_text: str, code: str) -> None:
    """Wrong key types, schemes, modes and tails have their codes."""
    assert code == send(request_text)[2:]


def test_parity_codes(send: Send, zmk: ClearAndText, tpk: ClearAndText) -> None:
    """A key that is not under its LMK pair: 10 for the source, 11 for the destination."""
    assert send(f"A8002{tpk[1]}{tpk[1]}X") == "A910"
    assert send(f"A8001{zmk[1]}{tpk[1]}X") == "A911"


def test_single_as_double(send: Send, zmk: ClearAndText) -> None:
    """A double-length key with equal halves is refused at import."""
    wrapped = schemes.wrap(zmk[0], bytes.fromhex("0123456789ABCDEF" * 2), "X")
    assert send(f"A6001{zmk[1]}{wrapped}U") == "A775"
    assert send(f"FA{zmk[1]}{wrapped};XU1") == "FB75"


def test_length_does_not_fit_scheme(send: Send, zmk: ClearAndText, tpk: ClearAndText) -> None:
    """A double-length key does not leave under a triple or single length scheme."""
    assert send(f"A8002{zmk[1]}{tpk[1]}Y") == "A927"
    assert send(f"A8002{zmk[1]}{tpk[1]}Z") == "A927"


@pytest.mark.parametrize(
    ("command", "options", "size", "key_type"),
    [
        ("HC", "", 16, "002"),
        ("HC", ";001", 16, "002"),
        ("HC", ";XU1", 33, "002"),
        ("HA", "", 16, "003"),
        ("HA", ";0Z1", 16, "003"),
        ("HA", ";XU1", 33, "003"),
    ],
)
def test_terminal_keys(
    module: SecurityModule,
    send: Send,
    tmk: ClearAndText,
    command: str,
    options: str,
    size: int,
    key_type: str,
) -> None:
    """HC and HA give one key under the TMK in plain ECB, and under the LMK."""
    reply = send(f"{command}{tmk[1]}{options}")
    under_tmk, under_lmk = reply[4 : 4 + size], reply[4 + size :]
    opened = module.state.default_lmk.key((KEY_TYPES[key_type], under_lmk))
    digits = under_tmk.lstrip("X")
    assert opened.clear == des.decrypt_ecb(tmk[0], bytes.fromhex(digits))
    length_flag = "0" if size == 16 else "1"
    assert f"BV00{opened.kcv(16)}" == send(f"BU{key_type[1:]}{length_flag}{under_lmk}")


def test_zone_keys(module: SecurityModule, send: Send, zmk: ClearAndText) -> None:
    """IA gives a ZPK under ZMK and LMK with KCV, FI a ZAK; FK and FA take them in again."""
    zpk_reply = send(f"IA{zmk[1]};XU1")
    assert f"FB00{zpk_reply[37:]}" == send(f"FA{zmk[1]}{zpk_reply[4:37]};XU1")
    zak_reply = send(f"FI1{zmk[1]};UU1")
    assert f"FL00{zak_reply[37:]}" == send(f"FK1{zmk[1]}{zak_reply[4:37]};UU1")
    assert zpk_reply[:4] + zak_reply[:4] == "IB00FJ00"
    assert module.counts["FK"].errors == 0


def test_generation_refuses_mixed_lengths(send: Send, tmk: ClearAndText) -> None:
    """The two schemes of HC must be of one length."""
    assert send(f"HC{tmk[1]};XZ1") == "HD26"


def test_check_values(send: Send, tpk: ClearAndText) -> None:
    """BU and KA give 16 digits, or 6 where asked; length flag and type are checked."""
    full = kcv.kcv(tpk[0], 16)
    assert f"BV00{full}" == send(f"BU021{tpk[1]}")
    assert f"BV00{full[:6]}" == send(f"BUFF1{tpk[1]};002;001")
    assert f"BV00{full[:6]}" == send(f"BU021{tpk[1]};001")
    assert f"KB00{full}" == send(f"KA{tpk[1]}02")
    assert f"KB00{full[:6]}" == send(f"KA{tpk[1]}02;ZZ1")
    assert send(f"BU023{tpk[1]}") == "BV05"
    assert send(f"BU020{tpk[1]}") == "BV27"
    assert send(f"BU9C1{tpk[1]}") == "BV04"


def test_pci_key_separation() -> None:
    """With separation a TPK of type 002 does not open as TPK, one of type 70D does."""
    settings = Settings(header_length=0, test_lmk=True, pci_key_separation=True)
    module = SecurityModule.with_test_lmks(settings)
    zpk = module.execute(b"A00001U")[4:37]
    pin_block = b"12" + b"0" * 16 + b"0101" + b"1" * 12
    old, new = (module.execute(b"A00" + code + b"U")[4:37] for code in (b"002", b"70D"))
    assert module.execute(b"CA" + old + zpk + pin_block) == b"CB10"
    assert module.execute(b"CA" + new + zpk + pin_block) in (b"CB20", b"CB24")


def test_components(module: SecurityModule, send: Send) -> None:
    """A4 XORs two to nine components."""
    components = [send("A00001X")[4:37] for _ in range(9)]
    opened = [module.state.default_lmk.key((KEY_TYPES["001"], text)) for text in components]
    folded = 0
    for part in opened:
        folded ^= int.from_bytes(part.clear, "big")
    expected = kcv.kcv(folded.to_bytes(16, "big"))
    assert expected == send(f"A49001X{''.join(components)}")[-6:]

"""MAC commands against the crypto core, whole and in parts."""

from collections.abc import Callable

import pytest

from acquirer.hsm_sim.crypto import mac
from acquirer.hsm_sim.module import SecurityModule

Send = Callable[[str], str]
ClearAndText = tuple[bytes, str]
KeyMaker = Callable[[str, str, str], ClearAndText]

DATA = bytes(range(128))
HALVES = ("0123456789ABCDEF", "FEDCBA9876543210")


def text(data: bytes) -> str:
    """Bytes as the characters of a request."""
    return data.decode("latin-1")


def request(head: str, key: str, data: bytes, iv: str = "") -> str:
    """An M6 or M8 request with binary input."""
    return f"{head}{key}{iv}{len(data):04X}{text(data)}"


@pytest.fixture
def tak(key: KeyMaker) -> ClearAndText:
    """A double-length TAK."""
    return key("003", "".join(HALVES), "U")


@pytest.mark.parametrize(
    ("algorithm", "padding", "function"),
    [
        ("1", "1", lambda key, data: mac.cbc_mac(key, data, 1)),
        ("1", "2", lambda key, data: mac.cbc_mac(key, data, 2)),
        ("1", "3", lambda key, data: mac.cbc_mac(key, data, 3)),
        ("3", "1", lambda key, data: mac.x919(key, data, 1)),
        ("3", "2", lambda key, data: mac.x919(key, data, 2)),
        ("3", "3", lambda key, data: mac.x919(key, data, 3)),
        ("5", "1", mac.cmac),
        ("6", "1", mac.cmac),
    ],
)
@pytest.mark.parametrize("data", [b"", b"1", b"12345678", DATA[:99], DATA])
def test_whole_messages(
    send: Send,
    tak: ClearAndText,
    algorithm: str,
    padding: str,
    function: Callable[[bytes, bytes], bytes],
    data: bytes,
) -> None:
    """M6 gives the algorithm's MAC in both sizes, M8 verifies it."""
    expected = function(tak[0], data).hex().upper()
    for size, digits in (("0", 8), ("1", 16)):
        tail = f"00{size}{algorithm}{padding}003"
        assert f"M700{expected[:digits]}" == send(request(f"M6{tail}", tak[1], data))
        verify = request(f"M8{tail}", tak[1], data)
        assert send(verify + expected[:digits]) == "M900"
        assert send(verify + expected[:digits].lower()) == "M900"
        assert send(verify + "0" * digits) == "M901"


@pytest.mark.parametrize(("scheme", "digits"), [("Z", HALVES[0]), ("U", "".join(HALVES))])
def test_cup_ecb(send: Send, key: KeyMaker, scheme: str, digits: str) -> None:
    """Algorithm 9 gives DE64's eight ASCII bytes, under single and double-length keys."""
    clear, wrapped = key("003", digits, scheme)
    expected = text(mac.cup_ecb(clear, DATA))
    assert f"M700{expected}" == send(request("M600091003", wrapped, DATA))
    assert send(request("M800091003", wrapped, DATA) + expected) == "M900"
    assert send(request("M800091003", wrapped, DATA) + "00000000") == "M901"
    assert send(request("M600191003", wrapped, DATA)) == "M704"


def test_cup_ecb_worked_example(send: Send, key: KeyMaker) -> None:
    """The worked example of the terminal interface, as a command."""
    clear, wrapped = key("003", "C24A8FB57AA20123", "Z")
    assert clear.hex().upper() == "C24A8FB57AA20123"
    assert send(f"M601091003{wrapped}00104D08F434464FE7BF") == "M7008A9E91B8"


@pytest.mark.parametrize(("algorithm", "whole"), [("1", mac.cbc_mac), ("3", mac.x919)])
def test_parts(
    send: Send, tak: ClearAndText, algorithm: str, whole: Callable[[bytes, bytes], bytes]
) -> None:
    """First, middle and last parts give the whole message's MAC."""
    first = send(request(f"M6101{algorithm}1003", tak[1], DATA[:64]))
    assert first[:4] == "M700"
    middle = send(request(f"M6201{algorithm}1003", tak[1], DATA[64:96], first[4:]))
    last = send(request(f"M6301{algorithm}1003", tak[1], DATA[96:99], middle[4:]))
    assert f"M700{whole(tak[0], DATA[:99]).hex().upper()}" == last
    verify = request(f"M8301{algorithm}1003", tak[1], DATA[96:99], middle[4:])
    assert send(verify + last[4:]) == "M900"


@pytest.mark.parametrize(
    ("head", "code"),
    [
        ("M6400310031", "02"),
        ("M603031003", "03"),
        ("M600021003", "04"),
        ("M600034003", "09"),
        ("M600031002", "05"),
        ("M600091999", "05"),
    ],
)
def test_refusals(send: Send, tak: ClearAndText, head: str, code: str) -> None:
    """The family's own error codes."""
    assert f"M7{code}" == send(request(head, tak[1], DATA))


def test_data_refusals(send: Send, tak: ClearAndText, tpk: ClearAndText) -> None:
    """Lengths, tails and keys that do not fit."""
    assert send(f"M600031003{tak[1]}00101234") == "M780"
    assert send(f"M600031003{tak[1]}000212345") == "M715"
    assert send(f"M601031003{tak[1]}0003123") == "M715"
    assert send(f"M600030003{tak[1]}00031234"[:-1]) == "M706"
    assert send(f"M610031003{tak[1]}00031234"[:-1]) == "M706"
    assert send(request("M600031003", tpk[1], DATA)) == "M710"


def test_binary_data_may_look_like_a_tail(send: Send, tak: ClearAndText) -> None:
    """Delimiters inside the data are data; after it they are the tail."""
    data = b"%00\x19tail%"
    expected = mac.x919(tak[0], data).hex().upper()
    made = send(request("M600131003", tak[1], data) + "%00\x19trailer")
    assert f"M700{expected}\x19trailer" == made


def test_x99_commands(module: SecurityModule, send: Send, key: KeyMaker) -> None:
    """MA makes, MC verifies, ME translates."""
    one, other = key("003", HALVES[0], "Z"), key("003", HALVES[1], "Z")
    message = b"any text, of any length"
    made = mac.x99(one[0], message).hex().upper()[:8]
    translated = mac.x99(other[0], message).hex().upper()[:8]
    assert f"MB00{made}" == send(f"MA{one[1]}{text(message)}")
    assert f"MB00{made}" == send(f"MA{one[1]}{text(message)}%00")
    assert send(f"MC{one[1]}{made}{text(message)}") == "MD00"
    assert send(f"MC{one[1]}{made}{text(message)}.") == "MD01"
    assert f"MF00{translated}" == send(f"ME{one[1]}{other[1]}{made}{text(message)}")
    assert module.counts["MC"].errors == 1


def test_large_messages(send: Send, key: KeyMaker) -> None:
    """MS carries a retail MAC over several commands."""
    clear, wrapped = key("008", "".join(HALVES), "U")
    first = send(f"MS1110{wrapped}0040{text(DATA[:64])}")[4:]
    middle = send(f"MS2111{wrapped}{first}0020{DATA[64:96].hex()}")[4:]
    last = send(f"MS3110{wrapped}{middle}0003{text(DATA[96:99])}")
    assert f"MT00{mac.x919(clear, DATA[:99]).hex().upper()}" == last
    assert send(f"MS0100{wrapped}0008{text(DATA[:8])}")[:2] == "MT"


def test_an_iv_of_zeros_may_be_written_out(send: Send) -> None:
    """M6 and M8 of a whole message take an IV, as payShield simulators do."""
    key = "U19D25F349FD03CC3556BB05F65283CA1"
    data = "72C29C2371CC9BDB65B779B8E8D37B29ECC154AA56A8799FAE2F498F76ED92F2"
    for iv in ("", "0" * 16):
        assert "M7005F1448EE" == send(f"M601032003{key}{iv}0040{data}")
        assert "M900" == send(f"M801032003{key}{iv}0040{data}5F1448EE")

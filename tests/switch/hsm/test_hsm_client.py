"""The security module's client against the module itself, command by command, over every wire.

The module has a production LMK and nothing authorised but M2: what the switch asks needs no
operator, unless terminals encipher their tracks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
from Crypto.Cipher import DES, DES3

from acquirer.codecs.pan import Pan
from acquirer.config.addresses import TcpAddress
from acquirer.config.estate import load_estate
from acquirer.hsm_sim.crypto import des
from acquirer.hsm_sim.crypto.mac import x919
from acquirer.hsm_sim.lmk import VariantLmk
from acquirer.hsm_sim.module import SecurityModule
from acquirer.hsm_sim.operator import pin_under_lmk, wrap_key
from acquirer.hsm_sim.server import HsmServer
from acquirer.hsm_sim.state import Settings
from acquirer.payments.kernel.commands import PinKey
from acquirer.payments.kernel.errors import HsmRefused, HsmUnavailable
from acquirer.switch.hsm.client import DEK, TAK, TPK, ZAK, ZPK, Hsm, MacAlgorithm
from acquirer.switch.hsm.failover import FailoverTransport, Proof
from acquirer.switch.hsm.transport import InProcessTransport, TcpTransport

pytestmark = pytest.mark.anyio

LMK = VariantLmk(tuple(des.odd_parity(bytes(range(n, n + 16))) for n in range(20)))
"""A production LMK: nothing is authorised that no operator has named."""
TMK = bytes.fromhex(load_estate().terminals[0].tmk)
PAN = "6225880000000007"
ACCOUNT = PAN[:-1][-12:]
CARD = Pan(PAN)


@pytest.fixture(params=["in_process", "tcp", "two_modules"])
async def hsm(request: pytest.FixtureRequest) -> AsyncIterator[Hsm]:
    """A client of an embedded module, of one over TCP, of two the first of which is gone."""
    module = SecurityModule({"00": LMK}, settings=Settings(header_length=8))
    module.state.activities.authorise(["command.M2.host"])
    if request.param == "in_process":
        yield Hsm(InProcessTransport(module.execute, 8))
        return
    (gone,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(HsmServer(module).serve, 0)
        wires = {
            name: TcpTransport(
                nursery,
                TcpAddress("127.0.0.1", there.socket.getsockname()[1]),
                connections=2,
                header_length=8,
                deadline_s=5.0,
            )
            for name, there in (("gone", gone), ("there", listener))
        }
        await gone.aclose()
        fits = Proof(b"NC", lambda reply: reply[2:4] == b"00")
        two = FailoverTransport(wires, fits, deadline_s=5.0, check_every_s=60.0)
        yield Hsm(wires["there"] if request.param == "tcp" else two)
        two.close()
        nursery.cancel_scope.cancel()


def under_lmk(key_type: str, key: bytes) -> str:
    """A clear key as a key string."""
    return wrap_key(LMK, key_type, key, "U")


def block(key: bytes, pin: str, account: str) -> bytes:
    """An ISO-0 PIN block under a double-length key."""
    clear = int(f"0{len(pin)}{pin}".ljust(16, "F"), 16) ^ int("0000" + account, 16)
    return DES3.new(key, DES3.MODE_ECB).encrypt(clear.to_bytes(8, "big"))


@pytest.mark.parametrize("double", [True, False])
async def test_working_keys(hsm: Hsm, double: bool) -> None:
    """New keys come under the TMK with a KCV that holds, and work under the LMK."""
    tmk = under_lmk("002", TMK)
    for made in (
        await hsm.new_pin_key(tmk, double=double),
        await hsm.new_mac_key(tmk, double=double),
    ):
        clear = DES3.new(TMK, DES3.MODE_ECB).decrypt(made.under_tmk)
        cipher = DES3.new(clear, DES3.MODE_ECB) if double else DES.new(clear, DES.MODE_ECB)
        assert (16 if double else 8) == len(clear)
        assert made.kcv == cipher.encrypt(bytes(8))[:4]


async def test_track_keys(hsm: Hsm) -> None:
    """A track key is double length whatever the rest is, and opens what its terminal enciphers."""
    made = await hsm.new_track_key(under_lmk("002", TMK))
    clear = DES3.new(TMK, DES3.MODE_ECB).decrypt(made.under_tmk)
    cipher = DES3.new(clear, DES3.MODE_ECB)
    assert (16, cipher.encrypt(bytes(8))[:4]) == (len(clear), made.kcv)
    sealed = cipher.encrypt(b"track 2.")
    assert b"track 2." == await hsm.open_track(made.under_lmk, sealed)
    with pytest.raises(HsmRefused):
        await hsm.translate_pin(
            PinKey(made.under_lmk), under_lmk(ZPK, bytes(range(16))), sealed, CARD
        )


async def test_macs(hsm: Hsm) -> None:
    """The MACs are those of the algorithms; a wrong one, or one of other data, does not verify."""
    key = bytes(range(1, 17))
    tak = under_lmk(TAK, key)
    clear = bytes(b & 0xFE | (bin(b >> 1).count("1") + 1) % 2 for b in key)
    assert x919(clear, b"data") == await hsm.mac("x919", tak, b"data")
    for algorithm in ("cup_ecb", "x919", "x99", "cmac"):
        mac = await hsm.mac(algorithm, tak, b"data")
        assert 8 == len(mac)
        assert await hsm.mac_ok(algorithm, tak, b"data", mac)
        assert not await hsm.mac_ok(algorithm, tak, b"datA", mac)
        assert not await hsm.mac_ok(algorithm, tak, b"data", bytes(8))


async def test_cup_mac_is_upper_case_text(hsm: Hsm) -> None:
    """DE64 of CUP-ECB is eight upper-case hexadecimal characters, and nothing else verifies."""
    tak = under_lmk(TAK, bytes(range(1, 17)))
    macs = [await hsm.mac("cup_ecb", tak, bytes([n])) for n in range(20)]
    assert not b"".join(macs).strip(b"0123456789ABCDEF")
    data = next(n for n in range(20) if macs[n] != macs[n].lower())
    assert not await hsm.mac_ok("cup_ecb", tak, bytes([data]), macs[data].lower())


async def test_translate_pin(hsm: Hsm) -> None:
    """A PIN block under a terminal's key comes out under the bank's, for the same account."""
    tpk, zpk = bytes(range(1, 17)), bytes(range(17, 33))
    found = await hsm.translate_pin(
        PinKey(under_lmk(TPK, tpk)), under_lmk(ZPK, zpk), block(tpk, "123456", ACCOUNT), CARD
    )
    assert block(zpk, "123456", ACCOUNT) == found


@pytest.mark.parametrize("pin_block", [bytes(8), bytes(range(8))])
async def test_translate_garbage(hsm: Hsm, pin_block: bytes) -> None:
    """A block that holds no PIN is refused with the command and the module's code."""
    tpk, zpk = PinKey(under_lmk(TPK, bytes(range(1, 17)))), under_lmk(ZPK, bytes(range(17, 33)))
    with pytest.raises(HsmRefused) as caught:
        await hsm.translate_pin(tpk, zpk, pin_block, CARD)
    assert "CA" == caught.value.command


@pytest.mark.parametrize("password", ["6449", "949762161722"])
async def test_password(hsm: Hsm, password: str) -> None:
    """A courier's password is right or wrong inside the module; 4 to 12 digits."""
    tpk = bytes(range(1, 17))
    stored = pin_under_lmk(LMK, password, "0" * 12)
    right = f"0{len(password):X}{password}".ljust(16, "F")
    wrong = f"0{len(password):X}{password[::-1]}".ljust(16, "F")
    cipher = DES3.new(tpk, DES3.MODE_ECB)
    for clear, expected in ((right, True), (wrong, password == password[::-1])):
        sent = cipher.encrypt(bytes.fromhex(clear))
        assert expected == await hsm.password_ok(PinKey(under_lmk(TPK, tpk)), sent, stored)


async def test_data(hsm: Hsm) -> None:
    """What is enciphered under a new data key is deciphered to what it was."""
    dek = await hsm.generate_key(DEK)
    sealed = await hsm.encipher(dek, bytes(range(32)))
    assert bytes(range(32)) != sealed
    assert bytes(range(32)) == await hsm.decipher(dek, sealed)


@pytest.mark.parametrize("key_type", [ZPK, ZAK])
async def test_import_key(hsm: Hsm, key_type: str) -> None:
    """A zone key from under the ZMK comes back under the LMK with its KCV."""
    zmk, zpk = bytes.fromhex(load_estate().banks[0].zmk), bytes.fromhex(load_estate().banks[0].zpk)
    cryptogram = DES3.new(zmk, DES3.MODE_ECB).encrypt(zpk).hex().upper()
    key, kcv = await hsm.import_key(key_type, under_lmk("000", zmk), f"X{cryptogram}")
    assert under_lmk(key_type, zpk) == key
    assert DES3.new(zpk, DES3.MODE_ECB).encrypt(bytes(8)).hex().upper()[:6] == kcv


async def test_status(hsm: Hsm) -> None:
    """The health check gives the firmware's number."""
    assert await hsm.status()


@pytest.mark.parametrize(
    "reply",
    [b"", b"CB", b"CB0", b"ND00", b"CB00", b"CB000401020304", b"CB0004" + b"G" * 16, b"CA00" * 9],
)
async def test_an_answer_that_is_none_of_the_commands(reply: bytes) -> None:
    """Cut short, another command's, or no hexadecimal: no PIN block comes of it, least an empty."""

    class Scripted:
        async def call(self, command: bytes) -> bytes:
            return reply

        def close(self) -> None:
            pass

    with pytest.raises((HsmUnavailable, HsmRefused)):
        await Hsm(Scripted()).translate_pin(PinKey("U"), "U", bytes(8), CARD)


@pytest.mark.parametrize("reply", [b"M900", b"M700", b"M70008", b"M700ABCDEFG0"])
async def test_a_mac_of_no_length_seals_nothing(reply: bytes) -> None:
    """Nor does the answer to a check count as a MAC."""

    class Scripted:
        async def call(self, command: bytes) -> bytes:
            return reply

        def close(self) -> None:
            pass

    algorithms: tuple[MacAlgorithm, ...] = ("cup_ecb", "x919")
    for algorithm in algorithms:
        with pytest.raises(HsmUnavailable):
            await Hsm(Scripted()).mac(algorithm, "U", b"data")


@pytest.mark.parametrize("code", [b"02", b"10", b"ZZ", b""])
async def test_a_verdict_that_is_neither_yes_nor_no(code: bytes) -> None:
    """An error of the module is no right MAC and no right password, nor a wrong one."""

    class Scripted:
        async def call(self, command: bytes) -> bytes:
            return command[:1] + bytes([command[1] + 1]) + code

        def close(self) -> None:
            pass

    hsm = Hsm(Scripted())
    with pytest.raises(HsmRefused):
        await hsm.mac_ok("x919", "U", b"data", bytes(8))
    with pytest.raises(HsmRefused):
        await hsm.password_ok(PinKey("U"), bytes(8), "0" * 5)

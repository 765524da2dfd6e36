"""Zone security on the bank's side: keys made and taken over, MACs checked and made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from acquirer.codecs.bank_fields import BankKeys
from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.message import Message
from acquirer.config.estate import load_estate
from acquirer.hosts_sim.zone_keys import ZoneKeys
from acquirer.hsm_sim.crypto import des
from acquirer.hsm_sim.crypto.kcv import kcv
from acquirer.hsm_sim.crypto.mac import x919

pytestmark = pytest.mark.anyio
Open = Callable[..., Any]

DIALECT = load_dialect("iso87_ascii")
ZMK = bytes.fromhex(load_estate().banks[0].zmk)
AT = "0604123456"


def clear(keys: BankKeys) -> tuple[bytes, bytes]:
    """ZPK and ZAK in clear, their KCVs checked."""
    zpk = des.decrypt_ecb(ZMK, bytes.fromhex(keys.zpk.removeprefix("X")))
    zak = des.decrypt_ecb(ZMK, bytes.fromhex(keys.zak.removeprefix("X")))
    assert (keys.zpk_kcv, keys.zak_kcv) == (kcv(zpk), kcv(zak))
    return zpk, zak


def sealed(message: Message, zak: bytes) -> bytes:
    """A message with its MAC."""
    message.fields[DIALECT.mac_field(message.fields)] = "0" * 16
    raw = DIALECT.encode(message)
    return DIALECT.with_mac(raw, x919(zak, DIALECT.mac_input(raw)))


async def keys_of(bank: Any) -> tuple[bytes, bytes]:
    """Exchange keys as a link does."""
    reply = await bank.ask(Message("0800", {7: AT, 11: "000002", 70: "101"}))
    assert "00" == reply.get(39)
    return clear(BankKeys.parse(reply.get(48), reply.get(53)))


async def test_a_sealed_sale_is_answered_sealed(desk: Open, messages: Any) -> None:
    """MAC both ways under the ZAK, the PIN under the ZPK."""
    alice = messages.card()
    async with desk(security="zone") as bank:
        zpk, zak = await keys_of(bank)
        sale = messages.sale(1, de52=messages.pin_block(alice.pin, alice, zpk))
        await bank.send_frames(sealed(sale, zak))
        reply = await bank.receive()
        assert "00" == reply.get(39)
        assert x919(zak, DIALECT.mac_input(reply.raw)) == reply.binary(64)
        reversal = messages.undo(sale, 2, "0400", de64="")
        await bank.send_frames(sealed(reversal, zak))
        assert "00" == (await bank.receive()).get(39)


async def test_a_bad_mac_changes_nothing(desk: Open, messages: Any) -> None:
    """A0 for a wrong MAC, for none, and before any key exchange; no row is written."""
    async with desk(security="zone") as bank:
        assert "A0" == await bank.code(messages.sale())
        _, zak = await keys_of(bank)
        assert "A0" == await bank.code(messages.sale())
        await bank.send_frames(sealed(messages.sale(), bytes(range(16))))
        reply = await bank.receive()
        assert "A0" == reply.get(39)
        assert x919(zak, DIALECT.mac_input(reply.raw)) == reply.binary(64)
        assert [] == bank.rows()


async def test_old_keys_stay_good_for_a_while(desk: Open, messages: Any) -> None:
    """After a change a request under the old keys is answered under the old ones."""
    alice = messages.card()
    async with desk(security="zone") as bank:
        old_zpk, old_zak = await keys_of(bank)
        await keys_of(bank)
        sale = messages.sale(1, de52=messages.pin_block(alice.pin, alice, old_zpk))
        await bank.send_frames(sealed(sale, old_zak))
        reply = await bank.receive()
        assert "00" == reply.get(39)
        assert x919(old_zak, DIALECT.mac_input(reply.raw)) == reply.binary(64)


async def test_keys_may_be_pushed(desk: Open, messages: Any) -> None:
    """With ``push`` the reply brings none; the bank's own 0800/101 does."""
    async with desk(security="zone", key_exchange="push") as bank:
        promise = await bank.ask(Message("0800", {7: AT, 11: "000002", 70: "101"}))
        assert ("00", "") == (promise.get(39), promise.get(48))
        push = await bank.receive()
        _, zak = clear(BankKeys.parse(push.get(48), push.get(53)))
        await bank.send(Message("0810", {7: push.get(7), 11: push.get(11), 39: "00", 70: "101"}))
        await bank.send_frames(sealed(messages.sale(), zak))
        assert "00" == (await bank.receive()).get(39)


async def test_it_takes_keys_over(desk: Open, messages: Any) -> None:
    """The acquirer may bring keys itself; a wrong KCV is refused."""
    zpk, zak = des.odd_parity(bytes(range(16))), des.odd_parity(bytes(range(16, 32)))
    under = ["X" + des.encrypt_ecb(ZMK, key).hex().upper() for key in (zpk, zak)]
    de48, de53 = BankKeys(under[0], kcv(zpk), under[1], kcv(zak)).format()
    async with desk(security="zone") as bank:
        fields = {7: AT, 11: "000001", 48: de48, 53: de53, 70: "101"}
        wrong = fields | {48: de48[:-6] + "000000"}
        assert "A7" == await bank.code(Message("0800", wrong))
        assert "30" == await bank.code(Message("0800", fields | {48: de48[:-7]}))
        assert "00" == await bank.code(Message("0800", fields))
        await bank.send_frames(sealed(messages.sale(), zak))
        assert "00" == (await bank.receive()).get(39)


def test_replaced_keys_run_out() -> None:
    """The overlap ends by the clock."""
    keys = ZoneKeys(ZMK, "x919", DIALECT, overlap_s=30.0)
    numbers = iter(range(1, 100))
    for now in (0.0, 100.0):
        keys.offer("1", lambda size: bytes([next(numbers)]) * size)
        keys.use_offered("1", now)
    assert 2 == len(keys.pairs(130.0))
    assert 1 == len(keys.pairs(130.1))
    assert "0101" not in repr(keys.pairs(0.0))


def test_offers_are_told_apart() -> None:
    """Of two offers under way each is good at once; an answer puts its own in use."""
    keys = ZoneKeys(ZMK, "x919", DIALECT, overlap_s=30.0)
    numbers = iter(range(1, 100))
    first, second = (
        clear(keys.offer(name, lambda size: bytes([next(numbers)]) * size)) for name in "12"
    )
    assert [first, second] == [(pair.zpk, pair.zak) for pair in keys.pairs(0.0)]
    keys.use_offered("1", 0.0)
    keys.withdraw("2")
    assert [first] == [(pair.zpk, pair.zak) for pair in keys.pairs(0.0)]


@pytest.mark.parametrize("algorithm", ["x919", "x99", "cmac"])
def test_mac_algorithms_by_configuration(algorithm: str) -> None:
    """What one side seals the other accepts, whatever the algorithm."""
    ours = ZoneKeys(ZMK, algorithm, DIALECT, overlap_s=0.0)
    theirs = ZoneKeys(ZMK, algorithm, DIALECT, overlap_s=0.0)
    offered = ours.offer("1", lambda size: bytes(range(size)))
    ours.use_offered("1", 0.0)
    assert "00" == theirs.accept(offered, 0.0)
    message = Message("0200", {3: "000000", 11: "000001"})
    decoded = DIALECT.decode(ours.seal(message, ours.pairs(0.0)[0]))
    assert theirs.check(decoded, 0.0) is not None
    assert theirs.check(DIALECT.decode(DIALECT.encode(message)), 0.0) is None

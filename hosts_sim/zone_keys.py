"""The bank's side of zone security on one link: keys made, offered, taken over; MACs; PIN keys.

Keys are clear test keys in memory and nowhere else. After a change the keys before stay good for
a while. Pure: time and randomness are arguments.
Source: docs/interfaces/bank-link.md, "Life of a link"; ANSI X9.19, X9.24 (KCV).
"""

from __future__ import annotations

import hmac
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from acquirer.codecs.bank_fields import BankKeys
from acquirer.codecs.dialect import Dialect
from acquirer.codecs.message import Message
from acquirer.hsm_sim.crypto import des
from acquirer.hsm_sim.crypto.kcv import kcv
from acquirer.hsm_sim.crypto.mac import cmac, x99, x919

MACS: dict[str, Callable[[bytes, bytes], bytes]] = {"x919": x919, "x99": x99, "cmac": cmac}
_NO_MAC = "0" * 16
_KEPT_MAX = 16


@dataclass(frozen=True, slots=True)
class ZonePair:
    """A zone PIN key and a zone authentication key, 16 bytes each; never shown."""

    zpk: bytes = field(repr=False)
    zak: bytes = field(repr=False)


class ZoneKeys:
    """The keys of one link.

    Args:
        zmk: zone master key, 16 bytes.
        mac: name of the MAC algorithm.
        dialect: encodes and cuts messages.
        overlap_s: how long replaced keys stay good.
    """

    def __init__(self, zmk: bytes, mac: str, dialect: Dialect, overlap_s: float) -> None:
        self._zmk = zmk
        self._mac = MACS[mac]
        self._zak_bytes = 8 if mac == "x99" else 16
        self._dialect = dialect
        self._overlap_s = overlap_s
        self._offered: dict[str, ZonePair] = {}
        self._current: ZonePair | None = None
        self._old: deque[tuple[ZonePair, float]] = deque(maxlen=_KEPT_MAX)

    def offer(self, reference: str, random_bytes: Callable[[int], bytes]) -> BankKeys:
        """Make new keys; they are accepted at once and used after :meth:`use_offered`.

        Args:
            reference: names this offer; of more than a few the oldest is forgotten.
            random_bytes: gives as many random bytes as asked for.
        """
        pair = ZonePair(des.odd_parity(random_bytes(16)), des.odd_parity(random_bytes(16)))
        if len(self._offered) >= _KEPT_MAX:
            del self._offered[next(iter(self._offered))]
        self._offered[reference] = pair
        return BankKeys(
            self._under_zmk(pair.zpk), kcv(pair.zpk), self._under_zmk(pair.zak), kcv(pair.zak)
        )

    def use_offered(self, reference: str, now: float) -> None:
        """The peer has the keys of this offer."""
        pair = self._offered.pop(reference, None)
        if pair is not None:
            self._use(pair, now)

    def withdraw(self, reference: str) -> None:
        """The peer refused the keys of this offer."""
        self._offered.pop(reference, None)

    def accept(self, keys: BankKeys, now: float) -> str:
        """Take keys over that the peer made.

        Returns:
            DE39: ``00``, or ``A7`` where a KCV is wrong or a key is missing at first.
        """
        current = self._current
        zpk = self._from_zmk(keys.zpk, keys.zpk_kcv) if keys.zpk else current and current.zpk
        zak = self._from_zmk(keys.zak, keys.zak_kcv) if keys.zak else current and current.zak
        if not zpk or not zak:
            return "A7"
        self._use(ZonePair(zpk, zak), now)
        return "00"

    def pairs(self, now: float) -> list[ZonePair]:
        """The keys that a message may be under, most likely first."""
        current = [self._current] if self._current is not None else []
        old = [pair for pair, until in self._old if now <= until]
        return [*current, *self._offered.values(), *old]

    def check(self, message: Message, now: float) -> ZonePair | None:
        """The keys under which a message's MAC is right; None where it is wrong or absent."""
        last = max(message.fields, default=0)
        mac = message.binary(last) if last in (64, 128) else b""
        if len(mac) != 8:
            return None
        covered = self._dialect.mac_input(message.raw)
        for pair in self.pairs(now):
            if hmac.compare_digest(self._mac(pair.zak[: self._zak_bytes], covered), mac):
                return pair
        return None

    def seal(self, message: Message, pair: ZonePair) -> bytes:
        """Encode a message with its MAC under the given keys."""
        message.fields[self._dialect.mac_field(message.fields)] = _NO_MAC
        raw = self._dialect.encode(message)
        mac = self._mac(pair.zak[: self._zak_bytes], self._dialect.mac_input(raw))
        return self._dialect.with_mac(raw, mac)

    def _use(self, pair: ZonePair, now: float) -> None:
        if self._current is not None:
            self._old.appendleft((self._current, now + self._overlap_s))
        self._current = pair

    def _under_zmk(self, key: bytes) -> str:
        return "X" + des.encrypt_ecb(self._zmk, key).hex().upper()

    def _from_zmk(self, cryptogram: str, check: str) -> bytes | None:
        key = des.decrypt_ecb(self._zmk, bytes.fromhex(cryptogram.removeprefix("X")))
        return key if kcv(key) == check else None

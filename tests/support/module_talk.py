"""What the switch asks of its security module while ``terminal_talk.py``'s conversation goes on.

Recorded on the wire between the switch's own transport and the module, which has the published
test keys; run this file to write the frames into ``docs/interfaces/security-module.md``.
"""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import trio
import trio.testing
from pos_terminal import pin_block
from terminal_talk import Desk, Frames, derived, des, page_with, run, talk_at

from acquirer.config.addresses import TcpAddress
from acquirer.hsm_sim.conversation import Conversation
from acquirer.hsm_sim.operator import variant_test_lmk, wrap_key
from acquirer.payments.kernel.vault import data_key_with_check
from acquirer.simulation.module import DEADLINE_S, HEADER_LENGTH
from acquirer.simulation.parties import couriers
from acquirer.simulation.world import World
from acquirer.switch.hsm import transport
from acquirer.switch.hsm.client import DEK, Hsm
from acquirer.switch.hsm.failover import FailoverTransport
from acquirer.switch.hsm.modules import data_key_proof

PAGE = Path(__file__).parents[2] / "docs" / "interfaces" / "security-module.md"
CHECK_EVERY_S = 5.0
MODULE = "10.0.0.5:1500"
KEY, REST, COUNTED, DECIMAL = -1, -2, -3, -4
Row = tuple[tuple[str, int], ...]
_MAC: Row = (
    ("mode", 1), ("input format", 1), ("MAC size", 1), ("algorithm", 1), ("padding", 1),
    ("key type", 3), ("key", KEY), ("length and data", COUNTED),
)  # fmt: skip
_DATA: Row = (
    ("mode", 2), ("input format", 1), ("output format", 1), ("key type", 3), ("DEK", KEY),
    ("IV", 16), ("length and data", COUNTED),
)  # fmt: skip
_WORKING: Row = (("TMK", KEY), ("schemes and KCV type", REST))
_BLOCK: Row = (("PIN block", 16),)
_TRANSLATED: Row = (("PIN length", 2), *_BLOCK, ("format", 2))
REQUESTS: dict[str, Row] = {
    "NC": (),
    "M0": _DATA,
    "M2": _DATA,
    "A0": (("mode", 1), ("key type", 3), ("scheme", 1)),
    "A6": (("key type", 3), ("ZMK", KEY), ("key under ZMK", KEY), ("scheme", 1)),
    "HC": _WORKING,
    "HA": _WORKING,
    "BU": (("key type code", 2), ("length flag", 1), ("key", KEY), ("key type", REST)),
    "M6": _MAC,
    "M8": (*_MAC, ("MAC", REST)),
    "GW": (),
    "G0": (),
    "CC": (
        ("ZPK", KEY), ("other ZPK", KEY), ("PIN length max", 2), *_BLOCK, ("source format", 2),
        ("target format", 2), ("account", 12),
    ),
    "BE": (("ZPK", KEY), *_BLOCK, ("format", 2), ("account", 12), ("PIN under LMK", REST)),
    "CA": (
        ("TPK", KEY), ("ZPK", KEY), ("PIN length max", 2), *_BLOCK, ("source format", 2),
        ("target format", 2), ("account", 12),
    ),
    "BC": (("TPK", KEY), *_BLOCK, ("format", 2), ("account", 12), ("PIN under LMK", REST)),
}  # fmt: skip
_DERIVED: Row = (
    ("mode", 1), ("method", 1), ("flag", 1), ("BDK", KEY), ("KSN descriptor", 3), ("KSN", 20),
)  # fmt: skip
_FROM_DERIVED: Row = (("flag", 1), ("BDK", KEY), ("ZPK", KEY), ("KSN descriptor", 3))
# Commands whose requests differ, by how they begin.
BEGUN_REQUESTS: dict[str, Row] = {
    "A01": (
        ("mode", 1), ("key type", 3), ("scheme", 1), (";, for a TMK", 2), ("TMK", KEY),
        ("scheme under it", 1),
    ),
    "M200": (
        ("mode", 2), ("input format", 1), ("output format", 1), ("key type", 3), ("TDK", KEY),
        ("length and data", COUNTED),
    ),
    "GW1": (*_DERIVED, ("MAC", 16), ("length and data", DECIMAL)),
    "GW4": (*_DERIVED, ("length and data", DECIMAL)),
    "G0~": (
        *_FROM_DERIVED, ("KSN", 20), *_BLOCK, ("source format", 2), ("target format", 2),
        ("account", 12),
    ),
    "G0*": (
        *_FROM_DERIVED, ("KSN", 24), ("PIN block", 32), ("source format", 2),
        ("target format", 2), ("card number, ;, LMK", REST),
    ),
}  # fmt: skip
BEGUN_REPLIES: dict[str, Row] = {
    "A01": (("key under LMK", KEY), ("key under TMK", KEY), ("KCV", 6)),
    "M200": (("length and data", COUNTED),),
    "GW1": (),
    "GW4": (("MAC", 16),),
    "G0~": _TRANSLATED,
    "G0*": _TRANSLATED,
}
_PAIR: Row = (("key under TMK", KEY), ("key under LMK", KEY))
REPLIES: dict[str, Row] = {
    "NC": (("LMK check", 16), ("firmware", REST)),
    "M0": (("chaining value", 16), ("length and data", COUNTED)),
    "M2": (("chaining value", 16), ("length and data", COUNTED)),
    "A0": (("key under LMK", KEY), ("KCV", 6)),
    "A6": (("key under LMK", KEY), ("KCV", 6)),
    "HC": _PAIR,
    "HA": _PAIR,
    "BU": (("KCV", REST),),
    "M6": (("MAC", REST),),
    "CA": _TRANSLATED,
    "CC": _TRANSLATED,
}


def _size(size: int, text: str) -> int:
    if size == KEY:
        if text[:1] == "S":
            return 1 + int(text[2:6])
        return 33 if text[:1] in ("U", "X") else 16
    if size == DECIMAL:
        return 4 + int(text[:4])
    if size == COUNTED:
        return 4 + int(text[:4], 16)
    return len(text) if size == REST else size


def _begun(asked: str) -> str:
    return next((head for head in BEGUN_REQUESTS if asked.startswith(head)), "")


def shown(frame: bytes, asked: str = "") -> str:
    """A frame: its parts, a line each, then all of it in hexadecimal.

    Args:
        asked: the request that a reply answers.
    """
    head, code = frame[2 : 2 + HEADER_LENGTH].decode(), frame[2 + HEADER_LENGTH :][:2].decode()
    lines = [f"{len(frame) - 2:04X}  length {len(frame) - 2}", f"{head}  header"]
    text = frame[4 + HEADER_LENGTH :].decode("latin-1")
    if code in REQUESTS:
        lines.append(f"{code}  command")
        head = _begun(code + text)
        row = BEGUN_REQUESTS[head] if head else REQUESTS[code]
    else:
        head = _begun(asked)
        lines.append(f"{code}  reply, error code {text[:2]}")
        known = BEGUN_REPLIES[head] if head else REPLIES.get(asked[:2], ())
        row, text = known if text[:2] == "00" else (), text[2:]
    for name, size in row:
        part, text = text[: _size(size, text)], text[_size(size, text) :]
        lines += _part(name, part)
    assert not text, f"{code}: {text} is left"
    digits = frame.hex().upper()
    return "\n".join(lines + [digits[at : at + 96] for at in range(0, len(digits), 96)])


def _part(name: str, part: str) -> list[str]:
    head = f"  {name + ':':<22}"
    if part.isprintable():
        pieces = [part[at : at + 68] for at in range(0, len(part), 68)]
        return [f"{head}{pieces[0]}", *(f"{'':24}{piece}" for piece in pieces[1:])]
    data = part[4:].encode("latin-1").hex().upper()
    lines = [data[at : at + 64] for at in range(0, len(data), 64)]
    return [f"{head}{part[:4]}, then these bytes:", *(f"{'':24}{line}" for line in lines)]


class _Module:
    """Serves the day's module on memory streams in place of sockets; keeps all frames."""

    def __init__(self, world: World, nursery: trio.Nursery) -> None:
        self._execute = world.module.execute_text
        self._nursery = nursery
        self.said: list[tuple[bytes, bytes]] = []

    async def connect(self, _address: object) -> Any:
        near, far = trio.testing.memory_stream_pair()
        self._nursery.start_soon(self._serve, far)
        stream: Any = near
        stream.socket = SimpleNamespace(close=near.send_stream.close)
        return stream

    async def _serve(self, stream: trio.abc.Stream) -> None:
        conversation = Conversation(self._execute)
        async with stream:
            while data := await stream.receive_some(65536):
                reply = conversation.feed(bytes(data))
                self.said.append((bytes(data), reply))
                await stream.send_all(reply)


async def _wrong(desk: Desk) -> None:
    """What a module refuses: a MAC, and a PIN block under another key."""
    pos = desk.pos
    card = next(card for card in desk.world.estate.cards if not card.status)
    pos.take_keys(await desk.line.ask(pos.sign_on("003")))
    await desk.line.ask(pos.sale(card, 1251)[:-8] + b"00000000")
    fields = pos.sale_fields(card, 1252) | {52: pin_block(pos.tmk, card.pin, card.pan)}
    await desk.line.ask(pos.frame("0200", fields))
    till = derived(desk, "10000014")
    till.counter, till.stan = 10, 10
    courier = next(one for one in couriers() if one.courier_id[1:] == till.terminal_id)
    await desk.line.ask(till.courier(courier.courier_id, courier.password))


# A frame's name, what its request begins with and its reply: the first that fits is shown.
NAMES = (
    ("health check", r"NC", r""),
    ("data key opened", r"M201", r""),
    ("bank's PIN key", r"A6001", r""),
    ("bank's MAC key", r"A6008", r""),
    ("terminal's PIN key", r"HC", r""),
    ("terminal's MAC key", r"HA", r""),
    ("check value", r"BU", r""),
    ("terminal's MAC verified", r"M8.....003", r"M900"),
    ("MAC for a terminal", r"M6.....003", r""),
    ("wrong MAC", r"M8.....003", r"M901"),
    ("PIN translated", r"CA", r"CB00"),
    ("PIN block that does not open", r"CA", r"CB2"),
    ("MAC for a bank", r"M6.....008", r""),
    ("bank's MAC verified", r"M8.....008", r"M900"),
    ("password compared", r"BC", r"BD00"),
    ("terminal's track key", r"A0130B", r""),
    ("track opened", r"M2001130B", r""),
    ("derived MAC verified", r"GW1", r"GX00"),
    ("derived MAC made", r"GW4", r""),
    ("PIN under a derived key", r"G0~", r""),
    ("PIN under a derived AES key", r"G0\*", r""),
    ("PIN from key to key", r"CC", r""),
    ("password under a zone key", r"BE", r"BF00"),
    ("key of the data key", r"A0000B", r""),
    ("data key enciphered", r"M0", r""),
)


def _named(said: list[tuple[bytes, bytes]]) -> Frames:
    frames: Frames = {}
    for name, request, reply in NAMES:
        asked, told = next(
            (asked, told)
            for asked, told in said
            if re.match(request, _text(asked)) and re.match(reply, _text(told))
        )
        frames |= {
            f"{name}, request": shown(asked),
            f"{name}, reply": shown(told, _text(asked)),
        }
    return frames


def _text(frame: bytes) -> str:
    return frame[2 + HEADER_LENGTH :].decode("latin-1")


def _keys(frames: Frames, desk: Desk) -> str:
    """The keys under the published LMK, beside their clear values."""
    estate, pos = desk.world.estate, desk.pos
    zmk = bytes.fromhex(estate.banks[0].zmk)
    lmk = variant_test_lmk(test_lmk=True)
    lines = []
    rows = (
        ("ZMK", "000", zmk, "bank's PIN key, request"),
        ("ZPK", "001", _under(zmk, frames["bank's PIN key, request"]), "bank's PIN key, reply"),
        ("ZAK", "008", _under(zmk, frames["bank's MAC key, request"]), "bank's MAC key, reply"),
        ("TMK", "002", pos.tmk, "terminal's PIN key, request"),
        (
            "TPK",
            "002",
            _under(pos.tmk, frames["terminal's PIN key, reply"]),
            "check value, request",
        ),
        ("TAK", "003", _under(pos.tmk, frames["terminal's MAC key, reply"]), "wrong MAC, request"),
        ("DEK", "00B", bytes(range(1, 17)), "data key opened, request"),
    )
    for name, key_type, clear, where in rows:
        under = wrap_key(lmk, key_type, clear, "U")
        assert under in frames[where], f"{name} {under} is not in {where}"
        lines.append(f"{name}  type {key_type}  clear {clear.hex().upper()}  under LMK {under}")
    return "\n".join(lines)


def _under(key: bytes, text: str) -> bytes:
    found = re.search(r"X([0-9A-F]{32})", text)
    assert found is not None
    return bytes(des(key).decrypt(bytes.fromhex(found[1])))


def talk() -> Frames:
    """Frames by name, with the keys."""
    found: Frames = {}

    async def play(world: World) -> None:
        before = world.parts.hsm
        async with trio.open_nursery() as nursery:
            module = _Module(world, nursery)
            wire = transport.TcpTransport(
                nursery,
                TcpAddress("module", 1500),
                connections=1,
                header_length=HEADER_LENGTH,
                deadline_s=DEADLINE_S,
            )
            settings = world.settings
            proof = data_key_proof(settings.data_key_dek, bytes.fromhex(settings.data_key))
            with mock.patch.object(transport, "connect", module.connect):
                world.parts.hsm = lambda: FailoverTransport(
                    {MODULE: wire}, proof, deadline_s=DEADLINE_S, check_every_s=CHECK_EVERY_S
                )
                desk = await talk_at(world, _wrong)
                hsm = Hsm(wire)
                await hsm.encipher(
                    await hsm.generate_key(DEK), data_key_with_check(bytes(range(32)))
                )
            found.update(_named(module.said))
            found["keys"] = _keys(found, desk)
            world.parts.hsm = before
            world.switch.restart()
            await world.switch.next_life()
            nursery.cancel_scope.cancel()

    run(play)
    return found


def main() -> None:
    """Write the page."""
    PAGE.write_text(page_with(talk(), PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()

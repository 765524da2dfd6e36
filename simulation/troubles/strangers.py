"""Strangers who reach the terminals' port: management messages that nobody has sealed, and replays.

They sign terminals on and off, and send again, byte for byte, what couriers once signed on with,
wrong passwords among them. No terminal loses its keys by that, no courier his place or his peace.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import trio

from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.private_fields import De60
from acquirer.codecs.tpdu import PosEnvelope
from acquirer.simulation.process import SWITCH
from acquirer.simulation.troubles.base import Trouble
from acquirer.terminals_sim import kinds
from acquirer.terminals_sim.kinds import Kind
from acquirer.terminals_sim.messages import assemble, de60

if TYPE_CHECKING:
    from acquirer.simulation.courier_players import CourierPlayer
    from acquirer.simulation.world import World

KIND = "strangers"
COURIER_ON = kinds.COURIER_SIGN_ON
FORMS = ("sign off", "sign on", "replay", "replay")
# Wrong passwords in a row that lock a courier.
WRONG_MAX = 3
SIGN_ONS = 3
REPLAYS = 4
_FRAME_HEADER_BYTES = 2


class Strangers(Trouble):
    """They hear all that terminals send, and know every terminal's number."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._dialect = load_dialect("cup_pos")
        self._heard: list[bytes] = []
        world.parts.heard = self._hear

    async def run(self) -> None:
        """Send something every now and then."""
        faults = self.world.faults
        while True:
            await trio.sleep(faults.between(KIND, 0.2, 3.0))
            form = faults.choice(KIND, FORMS)
            player = self.world.players[int(faults.between(KIND, 0, len(self.world.players)))]
            if form == "replay":
                frames = self._replays()
            elif form == "sign off":
                frames = [self._unsealed(player, kinds.SIGN_OFF)]
            else:
                frames = [self._unsealed(player, kinds.SIGN_ON) for _ in range(SIGN_ONS)]
            if frames:
                faults.note(KIND)
                self.world.trace.note("stranger", form)
                self._send(frames)

    def findings(self) -> Iterable[str]:
        """Places that couriers lost, or could not leave."""
        world = self.world
        for player in world.players:
            typed, courier_id = player.passwords, player.courier_id
            for terminal_id, locked in world.auditor.rows(
                "SELECT terminal_id, locked FROM couriers WHERE courier_id = ?", courier_id
            ):
                if locked and typed.most_wrong < WRONG_MAX:
                    yield f"courier {courier_id}: is locked, and typed {typed.most_wrong} wrong"
                # Books that came back from a copy may have forgotten it.
                if terminal_id and typed.signed_off and not world.auditor.lost.happened:
                    yield f"courier {courier_id}: has signed off, and is on at {terminal_id}"

    def _hear(self, frame: bytes) -> None:
        """Keep what couriers sign on with; sign a terminal on that has just done so itself."""
        try:
            message = self._dialect.decode(PosEnvelope.split(frame[_FRAME_HEADER_BYTES:])[1])
            network_code = De60.parse(message.get(60)).network_code
        except RemoteFormatError:
            return
        if (message.mti, network_code) == (COURIER_ON.mti, COURIER_ON.network_code):
            self._heard.append(frame)
        elif message.mti == kinds.SIGN_ON.mti:
            for player in self.world.players:
                if player.me.terminal_id == message.get(41):
                    kind = replace(kinds.SIGN_ON, network_code=network_code)
                    self._send([self._unsealed(player, kind) for _ in range(SIGN_ONS)])

    def _send(self, frames: list[bytes]) -> None:
        for frame in frames:
            after_s = self.world.faults.between(KIND, 0.0, 0.02)
            self.world.agenda.after(after_s, partial(self.world.network.inject, SWITCH, frame))

    def _replays(self) -> list[bytes]:
        if not self._heard:
            return []
        faults = self.world.faults
        at = int(faults.between(KIND, 0, len(self._heard)))
        return self._heard[at : at + 1] * int(faults.between(KIND, 1, REPLAYS + 1))

    def _unsealed(self, player: CourierPlayer, kind: Kind) -> bytes:
        stan = f"{int(self.world.faults.between(KIND, 1, 999_999)):06d}"
        fields = {11: stan, 60: de60(kind, player.state.batch)}
        frame = assemble(player.me, kind, fields).frame
        return len(frame).to_bytes(_FRAME_HEADER_BYTES, "big") + frame

"""Enciphered tracks: DE35 under the track key that a sign-on with 60.3 = 004 has brought.

The security module opens them. The clear track is in memory only, in the copy of the message that
is handled. Source: docs/interfaces/terminal.md, part 3, "Tracks".
"""

from __future__ import annotations

from acquirer.codecs.message import Message
from acquirer.codecs.private_fields import De53
from acquirer.codecs.track2 import Track2, ciphered_part
from acquirer.switch.hsm.client import Hsm
from acquirer.switch.terminals.terminals import Keys

TRACK, SECURITY_CONTROL = 35, 53
REVERSAL_CLASS = "4"


def is_ciphered(message: Message) -> bool:
    """Whether a message that is about a card has a track that is not in clear.

    What a reversal undoes is told by its numbers alone.
    """
    if message.mti[1] == REVERSAL_CLASS or not message.get(TRACK):
        return False
    control = message.get(SECURITY_CONTROL)
    return bool(control) and De53.parse(control).tracks_encrypted


async def with_clear_track(hsm: Hsm, message: Message, keys: Keys) -> Message:
    """The message with its track in clear; as it is where it is so already, or no key opens it.

    Raises:
        RemoteFormatError: the track is too short, or none once it is open.
        HsmRefused, HsmUnavailable: the module does not open it.
    """
    if not keys.tdk or not is_ciphered(message):
        return message
    track = message.get(TRACK)
    part = ciphered_part(track)
    clear = await hsm.open_track(keys.tdk, bytes.fromhex(track[part]))
    opened = track[: part.start] + clear.hex().upper() + track[part.stop :]
    Track2.parse(opened)
    fields = {**message.fields, TRACK: opened}
    fields[SECURITY_CONTROL] = f"{fields[SECURITY_CONTROL][:2]}0{fields[SECURITY_CONTROL][3:]}"
    return Message(message.mti, fields, message.raw)

"""What has come from a terminal, and what is asked by it once its MAC is right.

Source: docs/interfaces/terminal.md, parts 2 to 4.
"""

from __future__ import annotations

import msgspec

from acquirer.codecs.message import Message
from acquirer.codecs.private_fields import De60
from acquirer.ledger.journal.entries import Role
from acquirer.payments.kernel.commands import Origin
from acquirer.payments.kernel.vault import CardVault
from acquirer.switch.terminals.commands import display_in
from acquirer.switch.terminals.recognition import items_of, named_by_items
from acquirer.switch.terminals.request import Request
from acquirer.switch.terminals.table import Transaction
from acquirer.switch.terminals.terminals import Keys, Snapshot, Terminal

MANAGEMENT_CLASS = "8"


class Received(msgspec.Struct, frozen=True):
    """A message that is one, when and where it came from, and by what it is decided.

    Attributes:
        is_too_much: whether it would wait too long for this process.
    """

    message: Message
    transaction: Transaction | None
    de60: De60
    started_at: float
    now_ms: int
    address: str
    current: Snapshot
    is_too_much: bool = False

    def request(
        self, message: Message, terminal: Terminal, keys: Keys, vault: CardVault
    ) -> Request:
        """What is asked.

        Args:
            message: the one that was received, its track in clear.
            terminal: the sender.
            keys: that its MAC verified under.
            vault: makes the fingerprint.
        """
        de60, transaction = self.de60, self.transaction
        de59 = items_of(message)
        encoding = terminal.profile.encoding
        origin = Origin(
            terminal_id=terminal.terminal_id,
            merchant=terminal.merchant,
            batch=de60.batch,
            stan=message.get(11),
            business=self.current.business,
            fingerprint=_fingerprint(vault, message, de60),
            started_at=self.started_at,
            now_ms=self.now_ms,
            mti=message.mti,
            processing_code=message.processing_code,
            transaction_type=de60.transaction_type,
            role=transaction.role if transaction else Role.ORIGINAL,
            takes_part=de60.partial_approval == "1",
            amount_minor=int(amount) if (amount := message.get(4)) else None,
            currency_code=message.get(49),
            courier_id=de59.text("OC", encoding) if de59.items else "",
            pin_key=terminal.pin_key_of(keys),
            display=display_in(encoding),
            open_batch=terminal.row.batch,
            key_version=terminal.key_version_of(keys),
            ksn=terminal.use_of(keys),
        )
        return Request(message, de60, terminal, keys, origin, de59, self.address, self.is_too_much)


def _fingerprint(vault: CardVault, message: Message, de60: De60) -> bytes:
    """What makes two requests the same (part 4, "STAN"; of a courier, password and all)."""
    if message.mti[1] == MANAGEMENT_CLASS:
        about = (message.get(number) for number in (52, 53, 59))
        return vault.fingerprint(message.mti, de60.network_code, *about)
    pan = message.get(2) or message.get(35).replace("=", "D").partition("D")[0]
    return vault.fingerprint(
        message.mti,
        message.get(3),
        message.get(4),
        message.get(11),
        de60.transaction_type,
        de60.batch,
        message.get(61),
        pan,
        message.get(59) and named_by_items(message),
        *((message.get(62),) if message.get(62) else ()),
    )

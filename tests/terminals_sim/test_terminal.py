"""What the terminal sends, field by field, and how it judges what comes back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fake_host import Act, FakeHost

from acquirer.codecs.de59 import De59
from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.message import Message
from acquirer.codecs.pan import Pan
from acquirer.codecs.private_fields import De60
from acquirer.codecs.tpdu import PosEnvelope
from acquirer.config.estate import Card
from acquirer.hsm_sim.crypto import des, mac, pinblock
from acquirer.terminals_sim.cards import present
from acquirer.terminals_sim.errors import LocalRefusal
from acquirer.terminals_sim.identity import Identity
from acquirer.terminals_sim.messages import Request
from acquirer.terminals_sim.results import Result
from acquirer.terminals_sim.state import TerminalState
from acquirer.terminals_sim.terminal import Terminal

PIN_KEY = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
MAC_KEY = bytes.fromhex("C24A8FB57AA20123133457799BBCDFF1")

# Public field captures, card numbers masked by their publishers: akwei/halo-pos,
# test/pos/PosDomainTest.java (sale, reversal).
HALO_SALE = (
    "007060000400006022000000000200302004C020C098110000000000000888001001750210001235"
    "6221550000000728D15111000000000584403130343231363935383734333530333537323232343731"
    "313536F421C8F4FFE584DC20000000000000000008220000013246394433453536"
)
HALO_REVERSAL = (
    "0053600004000060220000000004003020048002C08013000000000001002000300203021000393831"
    "30343331323538383734343430333435313132353130313536000822000705000330312033423"
    "43735343838"
)


def decoded(request: Request) -> Message:
    """The request as a stranger reads it."""
    _, raw = PosEnvelope.split(request.frame)
    return load_dialect("cup_pos").decode(raw)


def answered(host: FakeHost, terminal: Terminal, request: Request) -> Result:
    """The result after the host's answer."""
    answers = host.replies(request.frame)
    results = [terminal.take(request, frame) for frame in answers]
    found = [result for result in results if result is not None]
    assert len(found) == 1
    return found[0]


def test_sign_on_layout(identity: Identity, host: FakeHost) -> None:
    """A sign-on is 0800 with DE11, 41, 42 and eleven digits of DE60, and no MAC."""
    terminal = Terminal(identity, TerminalState("10000001"))
    message = decoded(terminal.sign_on("003"))
    assert message.mti == "0800"
    assert message.fields == {
        11: "000001",
        41: "10000001",
        42: "898110053310001",
        60: "00000000003",
    }


@pytest.mark.parametrize(
    ("network_code", "pin_key", "mac_key", "track_bytes"),
    [
        ("001", PIN_KEY[:8], MAC_KEY[:8], 0),
        ("003", PIN_KEY, MAC_KEY, 0),
        ("004", PIN_KEY, MAC_KEY, 16),
    ],
)
def test_sign_on_opens_the_working_keys(
    identity: Identity,
    host: FakeHost,
    network_code: str,
    pin_key: bytes,
    mac_key: bytes,
    track_bytes: int,
) -> None:
    """Keys come out of DE62 under the TMK, the batch out of 60.2; only cryptograms are kept."""
    terminal = Terminal(identity, TerminalState("10000001"))
    result = answered(host, terminal, terminal.sign_on(network_code))
    assert result.outcome == "approved"
    assert (terminal.keys.pin_key, terminal.keys.mac_key) == (pin_key, mac_key)
    assert len(terminal.keys.track_key) == track_bytes
    assert terminal.state.batch == "000007"
    assert pin_key.hex().upper() not in terminal.state.wrapped_keys
    assert "0123456789" not in repr(terminal.keys)


def test_single_length_mac_key_in_the_first_half(identity: Identity, host: FakeHost) -> None:
    """In the form 003 a single-length MAC key is followed by eight zero bytes of its own."""
    host.mac_key = MAC_KEY[:8]
    terminal = Terminal(identity, TerminalState("10000001"))
    answered(host, terminal, terminal.sign_on("003"))
    assert terminal.keys.mac_key == MAC_KEY[:8]


def test_sign_on_with_a_wrong_check_value_changes_nothing(
    identity: Identity, host: FakeHost, act: type[Act]
) -> None:
    """Keys whose KCV does not fit are not taken."""
    terminal = Terminal(identity, TerminalState("10000001"))
    good = host.wrapped("003").format("003")
    host.script.append(act(fields={62: (good[:-1] + bytes([good[-1] ^ 1])).hex().upper()}))
    result = answered(host, terminal, terminal.sign_on("003"))
    assert result.outcome == "invalid"
    assert terminal.state.wrapped_keys == ""


def test_stripe_sale_field_by_field(signed_on: Terminal, card: Card) -> None:
    """A sale by stripe carries what the table and part 2 say, and nothing else."""
    request = signed_on.sale(1250, present(card))
    message = decoded(request)
    block = des.encrypt_ecb(PIN_KEY, pinblock.encode_iso0("9918", Pan(card.pan).account_number))
    data = load_dialect("cup_pos").mac_input(message.raw)
    assert message.mti == "0200"
    assert message.fields == {
        3: "000000",
        4: "000000001250",
        11: "000002",
        22: "021",
        25: "00",
        26: "12",
        35: "6225882202982730907D31061010000000000",
        41: "10000001",
        42: "898110053310001",
        49: "156",
        52: block.hex().upper(),
        53: "2600000000000000",
        60: "2200000700060",
        64: mac.cup_ecb(MAC_KEY, data).hex().upper(),
    }
    assert request.frame[:11].hex() == "6000030000603100310000"


def test_chip_sale_carries_icc_data_and_its_class(signed_on: Terminal, card: Card) -> None:
    """A sale by chip has DE2, 14, 23 and 55, and application class 61."""
    request = signed_on.sale(1250, present(card, "chip"))
    message = decoded(request)
    assert message.get(22) == "051"
    assert (message.get(2), message.get(14), message.get(23)) == (card.pan, "3106", "001")
    assert "9F0206000000001250" in message.get(55)
    assert request.frame[5] == 0x61


def test_sale_without_pin_says_so(signed_on: Terminal, card: Card) -> None:
    """No PIN: no DE26, 52, 53, and the entry mode ends in 2."""
    message = decoded(signed_on.sale(100, present(card, pin="")))
    assert message.get(22) == "022"
    assert {26, 52, 53}.isdisjoint(message.fields)


def test_same_shape_as_a_sale_from_the_field(signed_on: Terminal, card: Card) -> None:
    """A published sale has the very data elements that this terminal sends."""
    theirs = load_dialect("cup_pos").decode(bytes.fromhex(HALO_SALE)[13:])
    ours = decoded(signed_on.sale(888, present(card)))
    assert sorted(theirs.fields) == sorted(ours.fields)
    same = (3, 22, 25, 26, 49)
    assert [theirs.get(n) for n in same] == [ours.get(n) for n in same]
    assert De60.parse(theirs.get(60)).transaction_type == ours.get(60)[:2]


def test_same_shape_as_a_reversal_from_the_field(signed_on: Terminal, card: Card) -> None:
    """A published reversal differs in DE63 alone, which the interface does not ask for."""
    theirs = load_dialect("cup_pos").decode(bytes.fromhex(HALO_REVERSAL)[13:])
    signed_on.sale(100, present(card))
    ours = decoded(signed_on.reverse())
    assert sorted(set(theirs.fields) - {63}) == sorted(ours.fields)
    assert (ours.mti, theirs.get(39)) == (theirs.mti, ours.get(39))


def test_approved_sale_is_in_the_journal(host: FakeHost, signed_on: Terminal, card: Card) -> None:
    """An approval with a good MAC ends the pending reversal and fills the journal."""
    result = answered(host, signed_on, signed_on.sale(1250, present(card)))
    assert (result.outcome, result.mac, result.faults) == ("approved", "good", ())
    assert signed_on.state.reversal is None
    entry = signed_on.state.journal[-1]
    assert (entry.state, entry.amount_minor, entry.rrn) == ("approved", 1250, result.rrn)


def test_declined_sale_leaves_nothing_pending(
    host: FakeHost, signed_on: Terminal, card: Card, act: type[Act]
) -> None:
    """A decline is a result, not an error, and needs no reversal."""
    host.script.append(act(fields={39: "55"}, remove=(38,)))
    result = answered(host, signed_on, signed_on.sale(1250, present(card)))
    assert (result.outcome, result.response_code, result.message) == (
        "declined",
        "55",
        "wrong PIN",
    )
    assert signed_on.state.reversal is None
    assert signed_on.state.journal[-1].state == "declined"


def test_bad_reply_mac_is_reversed_with_reason_a0(
    host: FakeHost, signed_on: Terminal, card: Card, act: type[Act]
) -> None:
    """An approval whose MAC fails is not believed."""
    host.script.append(act(mac="bad"))
    result = answered(host, signed_on, signed_on.sale(1250, present(card)))
    assert (result.outcome, result.mac) == ("invalid", "bad")
    assert decoded(signed_on.reverse()).get(39) == "A0"
    assert signed_on.state.sign_on_due


def test_approval_without_mac_is_reversed(
    host: FakeHost, signed_on: Terminal, card: Card, act: type[Act]
) -> None:
    """A missing MAC is no better than a wrong one."""
    host.script.append(act(mac="none"))
    result = answered(host, signed_on, signed_on.sale(1250, present(card)))
    assert (result.outcome, result.mac) == ("invalid", "none")
    assert signed_on.state.reversal is not None


@pytest.mark.parametrize(
    ("number", "value"),
    [(4, "000000001251"), (3, "200000"), (42, "898110053310009"), (60, "2200000800060")],
)
def test_unlike_echo_is_reversed_with_reason_06(
    host: FakeHost, signed_on: Terminal, card: Card, act: type[Act], number: int, value: str
) -> None:
    """An approval of something else than was asked is undone."""
    host.script.append(act(fields={number: value}))
    result = answered(host, signed_on, signed_on.sale(1250, present(card)))
    assert (result.outcome, result.faults) == (
        "invalid",
        (f"field {number}: not as it was sent",),
    )
    assert decoded(signed_on.reverse()).get(39) == "06"


@pytest.mark.parametrize(
    "change",
    [{"fields": {11: "000099"}}, {"fields": {41: "10000002"}}, {"mti": "0410"}],
)
def test_a_reply_to_something_else_is_not_an_answer(
    host: FakeHost, signed_on: Terminal, card: Card, act: type[Act], change: dict[str, Any]
) -> None:
    """STAN, terminal or MTI of another message: the terminal waits on."""
    host.script.append(act(**change))
    request = signed_on.sale(1250, present(card))
    frames = host.replies(request.frame)
    assert [signed_on.take(request, frame) for frame in frames] == [None]
    assert signed_on.state.reversal is not None


def test_reply_with_the_tpdu_not_swapped_is_not_an_answer(
    host: FakeHost, signed_on: Terminal, card: Card
) -> None:
    """The reply's TPDU has destination and source changed over."""
    request = signed_on.sale(1250, present(card))
    frame = host.replies(request.frame)[0]
    assert signed_on.take(request, request.frame[:5] + frame[5:]) is None
    assert signed_on.take(request, b"\x00" * 7) is None


def test_void_refers_to_the_sale(host: FakeHost, signed_on: Terminal, card: Card) -> None:
    """DE61 has batch, STAN and date of the sale, DE37 and DE38 its numbers; no card data."""
    sale = answered(host, signed_on, signed_on.sale(1250, present(card)))
    request = signed_on.void()
    message = decoded(request)
    assert message.get(61) == "0000070000021121"
    assert (message.get(37), message.get(38)) == (sale.rrn, sale.approval_code)
    assert (message.get(3), message.get(4), message.get(60)) == (
        "200000",
        "000000001250",
        "2300000700060",
    )
    assert {2, 35, 52}.isdisjoint(message.fields)
    answered(host, signed_on, request)
    assert [entry.state for entry in signed_on.state.journal] == ["voided", "approved"]
    with pytest.raises(LocalRefusal):
        signed_on.void()


def test_reversal_of_a_void_brings_the_sale_back(
    host: FakeHost, signed_on: Terminal, card: Card
) -> None:
    """Where the void is undone the sale counts again."""
    answered(host, signed_on, signed_on.sale(1250, present(card)))
    answered(host, signed_on, signed_on.void())
    answered(host, signed_on, signed_on.reverse())
    assert [entry.state for entry in signed_on.state.journal] == ["approved", "reversed"]


def test_reversal_keeps_stan_amount_and_batch(
    host: FakeHost, signed_on: Terminal, card: Card
) -> None:
    """A 0400 has the original's STAN, DE4, 60.2, no card data and the reason in DE39."""
    original = decoded(signed_on.sale(1250, present(card)))
    message = decoded(signed_on.reverse())
    assert message.mti == "0400"
    for number in (3, 4, 11, 22, 25, 41, 42, 49, 60):
        assert message.get(number) == original.get(number)
    assert message.get(39) == "98"
    assert {2, 14, 35, 52, 53, 55}.isdisjoint(message.fields)


@pytest.mark.parametrize("code", ["85", "A2", "ZZ", "11"])
def test_a_code_that_the_interface_lacks_is_in_doubt(
    host: FakeHost, signed_on: Terminal, card: Card, act: type[Act], code: str
) -> None:
    """It is no approval, and no refusal that would leave the money where it may be: reversed."""
    host.script.append(act(fields={39: code}))
    result = answered(host, signed_on, signed_on.sale(1250, present(card)))
    assert (result.outcome, result.response_code) == ("invalid", code)
    assert decoded(signed_on.reverse()).get(39) == "06"


@pytest.mark.parametrize(
    ("granted", "outcome"),
    [("000000000500", "approved"), ("000000001250", "invalid"), ("000000000000", "invalid")],
)
def test_an_approval_in_part_names_the_part(
    host: FakeHost, signed_on: Terminal, card: Card, act: type[Act], granted: str, outcome: str
) -> None:
    """Without an amount below the one asked for, nobody knows how much was paid."""
    host.script.append(act(fields={39: "10", 4: granted}))
    result = answered(host, signed_on, signed_on.sale(1250, present(card)))
    assert result.outcome == outcome
    assert (signed_on.state.reversal is None) == (outcome == "approved")


def test_nothing_but_a_sale_is_approved_in_part(
    host: FakeHost, signed_on: Terminal, card: Card, act: type[Act]
) -> None:
    """A void in part is none."""
    answered(host, signed_on, signed_on.sale(1250, present(card)))
    host.script.append(act(fields={39: "10", 4: "000000000500"}))
    assert answered(host, signed_on, signed_on.void()).outcome == "invalid"


@pytest.mark.parametrize(
    ("code", "left"),
    [("00", False), ("25", False), ("12", False), ("96", True), ("05", True), ("ZZ", True)],
)
def test_reversal_is_kept_until_it_is_acknowledged(
    host: FakeHost, signed_on: Terminal, card: Card, act: type[Act], code: str, left: bool
) -> None:
    """00 and 25 end it, and so does 12; a switch fault does not, nor a code that says nothing."""
    signed_on.lost(signed_on.sale(1250, present(card)))
    host.script.append(act(fields={39: code}))
    answered(host, signed_on, signed_on.reverse())
    assert (signed_on.state.reversal is not None) == left
    assert signed_on.state.journal[-1].state == ("reversed" if code in "0025" else "unknown")


def test_forged_refusal_does_not_end_a_reversal(
    host: FakeHost, signed_on: Terminal, card: Card, act: type[Act]
) -> None:
    """A 97 without a MAC could come from anybody, so what was sent stays to be reversed."""
    host.script.append(act(fields={39: "97"}, mac="none"))
    result = answered(host, signed_on, signed_on.sale(1250, present(card)))
    assert result.outcome == "declined"
    assert signed_on.state.reversal is not None


def test_courier_sign_on_layout(host: FakeHost, signed_on: Terminal) -> None:
    """The password goes as a PIN block without PAN, DE53 16…, and the message has a MAC."""
    request = signed_on.courier_sign_on("C1001", "270475")
    message = decoded(request)
    block = des.encrypt_ecb(PIN_KEY, pinblock.encode_iso0("270475", "0" * 12))
    assert (message.mti, message.get(60)) == ("0820", "00000007402")
    assert message.get(52) == block.hex().upper()
    assert message.get(53) == "1600000000000000"
    assert De59.parse(message.binary(59)).text("OC") == "C1001"
    assert 64 in message.fields
    answered(host, signed_on, request)
    assert signed_on.state.courier_id == "C1001"
    answered(host, signed_on, signed_on.courier_sign_off())
    assert signed_on.state.courier_id == ""


@pytest.mark.parametrize(
    ("way", "processing_code", "condition_code"),
    [("card", "000000", "00"), ("cash", "900000", ""), ("delivery", "910000", "")],
)
def test_order_payment_in_each_way(
    host: FakeHost,
    signed_on: Terminal,
    card: Card,
    way: str,
    processing_code: str,
    condition_code: str,
) -> None:
    """Payment, confirmation and receipt of one order carry what their rows say."""
    answered(host, signed_on, signed_on.courier_sign_on("C1001", "270475"))
    shown = present(card) if way == "card" else None
    amount = 0 if way == "delivery" else 21478
    payment = signed_on.order_payment("SP1", amount, way, shown)
    message = decoded(payment)
    assert (message.get(3), message.get(25), message.get(60)[:11]) == (
        processing_code,
        condition_code,
        "72000007000",
    )
    assert bytes(De59.parse(message.binary(59))) == b"ON003SP1OC005C1001"
    answered(host, signed_on, payment)
    assert [order.order_no for order in signed_on.state.open_orders] == ["SP1"]
    confirm = decoded(signed_on.order_confirm("SP1"))
    assert (confirm.mti, confirm.get(3), confirm.get(60)[:2]) == ("0220", processing_code, "73")
    assert confirm.get(61) == f"000007{payment.stan}1121"
    receipt = decoded(signed_on.order_receipt("SP1", "王先生"))
    assert (receipt.mti, receipt.get(3), receipt.get(60)[:2]) == ("0220", "920000", "74")
    assert De59.parse(receipt.binary(59)).text("OR") == "王先生"
    assert receipt.get(61) == confirm.get(61)


def test_order_cancellation_and_its_confirmation(
    host: FakeHost, signed_on: Terminal, card: Card
) -> None:
    """Rows 7 and 8: DE61 of the payment, DE37 and 38, no card data."""
    paid = answered(host, signed_on, signed_on.order_payment("SP1", 500, "card", present(card)))
    request = signed_on.order_cancel("SP1")
    message = decoded(request)
    assert (message.mti, message.get(3), message.get(60)[:2]) == ("0200", "200000", "75")
    assert (message.get(37), message.get(38)) == (paid.rrn, paid.approval_code)
    assert {2, 35, 52}.isdisjoint(message.fields)
    answered(host, signed_on, request)
    assert signed_on.state.journal[0].state == "voided"
    confirm = decoded(signed_on.order_cancel_confirm("SP1"))
    assert (confirm.mti, confirm.get(3), confirm.get(60)[:2]) == ("0220", "200000", "76")
    assert confirm.get(61) == message.get(61)


def test_one_order_of_several_lessens_the_payment(
    host: FakeHost, signed_on: Terminal, card: Card, act: type[Act]
) -> None:
    """By DE4 of the cancellation's reply; with the last of them the payment is gone."""
    shown = present(card)
    paid = signed_on.order_payment("SP1", 500, "card", shown, more=("SP2",))
    answered(host, signed_on, paid)
    seen = []
    for order_no, amount in (("SP1", 200), ("SP2", 300)):
        host.script.append(act(fields={4: f"{amount:012d}"}))
        answered(host, signed_on, signed_on.order_cancel(order_no))
        seen.append((signed_on.state.journal[0].amount_minor, signed_on.state.journal[0].state))
    assert [(300, "approved"), (300, "voided")] == seen


def test_an_order_is_refunded_by_its_payment(
    host: FakeHost, signed_on: Terminal, card: Card, act: type[Act]
) -> None:
    """Not by a later request that was refused with its RRN; a part lessens what is left."""
    shown = present(card)
    paid = answered(host, signed_on, signed_on.order_payment("SP1", 500, "card", shown))
    host.script.append(act(fields={39: "94", 37: paid.rrn}))
    answered(host, signed_on, signed_on.order_payment("SP1", 500, "card", shown))
    for amount_minor, left in ((200, (300, "approved")), (300, (300, "refunded"))):
        request = signed_on.refund(amount_minor, shown, paid.rrn)
        named = decoded(request)
        assert (paid.rrn, paid.approval_code) == (named.get(37), named.get(38))
        assert f"{paid.batch}{paid.stan}1121" == named.get(61)
        answered(host, signed_on, request)
        entry = signed_on.state.journal[0]
        assert left == (entry.amount_minor, entry.state)
    assert ["paid"] == [order.stage for order in signed_on.state.orders]


def test_an_order_that_is_refunded_all_at_once_is_done_with(
    host: FakeHost, signed_on: Terminal, card: Card
) -> None:
    """It is cancelled, and this terminal has nothing to confirm of that."""
    shown = present(card)
    paid = answered(host, signed_on, signed_on.order_payment("SP1", 500, "card", shown))
    answered(host, signed_on, signed_on.refund(500, shown, paid.rrn))
    assert ["cancel_confirmed"] == [order.stage for order in signed_on.state.orders]
    assert () == signed_on.state.open_orders


def test_a_mangled_repeat_does_not_end_a_cancellation(
    host: FakeHost, signed_on: Terminal, card: Card, act: type[Act]
) -> None:
    """A0 to a copy says nothing of the one before it, which may have been taken."""
    answered(host, signed_on, signed_on.order_payment("SP1", 500, "card", present(card)))
    signed_on.lost(signed_on.order_cancel("SP1"))
    again = signed_on.stored(signed_on.state.advices[0])
    host.script.append(act(fields={39: "A0"}))
    answered(host, signed_on, again)
    assert len(signed_on.state.advices) == 1
    answered(host, signed_on, again)
    assert signed_on.state.journal[0].state == "voided"


def test_courier_who_went_elsewhere(host: FakeHost, signed_on: Terminal, act: type[Act]) -> None:
    """58 to the courier's own request means that he signed on at another terminal since."""
    answered(host, signed_on, signed_on.courier_sign_on("C1001", "270475"))
    for courier_id, left in (("C9", "C1001"), ("C1001", "")):
        host.script.append(act(fields={39: "58", 4: "000000000000"}))
        answered(host, signed_on, signed_on.order_query("SP1", courier_id))
        assert signed_on.state.courier_id == left


def test_order_exception_layout(signed_on: Terminal) -> None:
    """Row 9: reason and text."""
    message = decoded(signed_on.order_exception("SP1", "02", "nobody"))
    assert (message.mti, message.get(3), message.get(60)[:2]) == ("0220", "930000", "77")
    items = De59.parse(message.binary(59))
    assert [items.text(tag) for tag in items] == ["SP1", "02", "nobody"]


def test_receipt_of_an_order_that_was_not_paid_here(signed_on: Terminal) -> None:
    """No payment, no DE61."""
    assert 61 not in decoded(signed_on.order_receipt("SP9", "Li")).fields


def test_confirmation_waits_until_the_switch_has_it(
    host: FakeHost, signed_on: Terminal, card: Card, act: type[Act]
) -> None:
    """A confirmation without an answer is sent again as it was, byte for byte."""
    answered(host, signed_on, signed_on.order_payment("SP1", 500, "card", present(card)))
    first = signed_on.order_confirm("SP1")
    signed_on.lost(first)
    again = signed_on.stored(signed_on.state.advices[0])
    assert again.frame == first.frame
    host.script.append(act(fields={39: "96"}))
    answered(host, signed_on, again)
    assert 1 == len(signed_on.state.advices)
    answered(host, signed_on, again)
    assert 0 == len(signed_on.state.advices)
    assert signed_on.state.open_orders == ()


def test_a_confirmation_that_is_answered_late(
    host: FakeHost, signed_on: Terminal, card: Card
) -> None:
    """An order that was cancelled meanwhile stays cancelled."""
    answered(host, signed_on, signed_on.order_payment("SP1", 500, "card", present(card)))
    signed_on.lost(signed_on.order_confirm("SP1"))
    again = signed_on.stored(signed_on.state.advices[0])
    answered(host, signed_on, signed_on.order_cancel("SP1"))
    answered(host, signed_on, again)
    assert ["cancelled"] == [order.stage for order in signed_on.state.orders]


def test_confirmation_of_one_order_that_was_given_back(
    host: FakeHost, signed_on: Terminal, card: Card, act: type[Act]
) -> None:
    """12 to one order of several leaves the payment of the others standing."""
    paid = signed_on.order_payment("SP1", 500, "card", present(card), more=("SP2",))
    answered(host, signed_on, paid)
    for order_no, state in (("SP1", "approved"), ("SP2", "reversed")):
        host.script.append(act(fields={39: "12"}))
        answered(host, signed_on, signed_on.order_confirm(order_no))
        assert signed_on.state.journal[0].state == state


def test_confirmation_of_a_reversed_payment(
    host: FakeHost, signed_on: Terminal, card: Card, act: type[Act]
) -> None:
    """12 tells the terminal that the switch undid the payment."""
    answered(host, signed_on, signed_on.order_payment("SP1", 500, "card", present(card)))
    host.script.append(act(fields={39: "12"}))
    answered(host, signed_on, signed_on.order_confirm("SP1"))
    assert signed_on.state.journal[0].state == "reversed"
    assert signed_on.state.open_orders == ()


def test_keys_are_needed_for_money(identity: Identity, card: Card) -> None:
    """Without keys the terminal refuses by itself and sends nothing."""
    terminal = Terminal(identity, TerminalState("10000001"))
    with pytest.raises(LocalRefusal, match="sign on"):
        terminal.sale(100, present(card))
    assert terminal.state == TerminalState("10000001")


def test_x919_terminal(
    make_identity: Callable[..., Identity], make_host: type[FakeHost], card: Card
) -> None:
    """A profile with the retail MAC sends and checks binary MACs."""
    identity = make_identity(mac="x919", encoding="utf-8")
    host = make_host(identity)
    terminal = Terminal(identity, TerminalState("10000001"))
    answered(host, terminal, terminal.sign_on())
    request = terminal.sale(100, present(card))
    data = load_dialect("cup_pos").mac_input(request.message.raw)
    assert request.message.binary(64) == mac.x919(MAC_KEY, data)
    assert answered(host, terminal, request).mac == "good"

"""Transactions over a connection: time-outs, reversals, demands, what is owed going first."""

from __future__ import annotations

from typing import Any

import pytest
import trio.testing
from fake_host import Act, FakeHost

from acquirer.codecs import bertlv
from acquirer.codecs.tpdu import ProcessingDemand
from acquirer.config.estate import Card
from acquirer.terminals_sim.errors import LocalRefusal
from acquirer.terminals_sim.link import STRAYS_MAX

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Trio on a clock that jumps, so that time-outs take no time."""
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


async def test_sale_over_one_connection(wire: Any, host: FakeHost, card: Card) -> None:
    """Several transactions use the same connection."""
    async with wire(host) as bench:
        first = await bench.client.sale(1250, card)
        second = await bench.client.sale(99, card)
    assert [first.outcome, second.outcome] == ["approved", "approved"]
    assert bench.sent == ["0200.22.000002", "0200.22.000003"]
    assert host.connections == 1


async def test_no_answer_is_reversed_at_once(
    wire: Any, host: FakeHost, card: Card, act: type[Act]
) -> None:
    """After the time-out the reversal goes out on a new connection with reason 98."""
    async with wire(host) as bench:
        host.script.append(act(drop=True))
        result = await bench.client.sale(1250, card)
    assert (result.outcome, result.reversed) == ("no_answer", True)
    assert bench.sent == ["0200.22.000002", "0400.22.000002"]
    assert host.requests[1].get(39) == "98"
    assert host.connections == 2
    assert bench.client.state.journal[-1].state == "reversed"


async def test_closed_connection_is_no_answer(
    wire: Any, host: FakeHost, card: Card, act: type[Act]
) -> None:
    """A connection that ends before the answer counts as no answer."""
    async with wire(host) as bench:
        host.script.append(act(close=True))
        result = await bench.client.sale(1250, card)
    assert (result.outcome, result.reversed) == ("no_answer", True)


async def test_reversal_goes_before_the_next_transaction(
    wire: Any, host: FakeHost, card: Card, act: type[Act]
) -> None:
    """As long as it is not acknowledged nothing else leaves the terminal."""
    async with wire(host, reverse_at_once=False) as bench:
        host.script.extend([act(drop=True), act(drop=True)])
        await bench.client.sale(1250, card)
        blocked = await bench.client.sale(77, card)
        assert (blocked.outcome, blocked.kind) == ("unsent", "sale")
        assert (await bench.client.sale(99, card)).approved
    assert bench.sent == [
        "0200.22.000002",
        "0400.22.000002",
        "0400.22.000002",
        "0200.22.000003",
    ]


async def test_state_is_saved_before_the_request_leaves(
    wire: Any, host: FakeHost, card: Card, act: type[Act]
) -> None:
    """What lies in the store when the host sees the sale already has its reversal."""
    async with wire(host) as bench:
        seen = []
        answer = host.answer

        def spy(frame: bytes) -> Any:
            seen.append(bench.store.saved)
            return answer(frame)

        host.answer = spy
        await bench.client.sale(1250, card)
    assert seen[0].reversal.fields[11] == "000002"
    assert seen[0].next_stan == 3
    assert bench.store.saved.reversal is None


async def test_bad_mac_signs_on_again_and_reverses(
    wire: Any, host: FakeHost, card: Card, act: type[Act]
) -> None:
    """A reply with a bad MAC ends in new keys and a reversal with reason A0."""
    async with wire(host) as bench:
        host.script.append(act(mac="bad"))
        result = await bench.client.sale(1250, card)
    assert (result.outcome, result.reversed) == ("invalid", True)
    assert bench.sent == ["0200.22.000002", "0800.00.000003", "0400.22.000002"]
    assert host.requests[2].get(39) == "A0"


async def test_stray_frames_are_passed_over(
    wire: Any, host: FakeHost, card: Card, act: type[Act]
) -> None:
    """Frames that answer nothing are dropped; the answer behind them is found."""
    async with wire(host) as bench:
        host.script.append(act(before=(b"\x60garbage", b"\x00" * 40)))
        result = await bench.client.sale(1250, card)
    assert result.approved
    assert bench.client.link.strays == 2


async def test_a_flood_of_stray_frames_ends(
    wire: Any, host: FakeHost, card: Card, act: type[Act]
) -> None:
    """After a limit the terminal hangs up rather than listen for ever."""
    async with wire(host) as bench:
        host.script.append(act(drop=True, before=(b"\x60flood",) * STRAYS_MAX))
        started = trio.current_time()
        result = await bench.client.sale(1250, card)
    assert result.outcome == "no_answer"
    assert trio.current_time() - started < 1


async def test_unreachable_switch_leaves_nothing_to_reverse(
    wire: Any, host: FakeHost, card: Card
) -> None:
    """What never left needs no reversal and takes no STAN."""
    async with wire(host, sign_on=False, refuse=True) as bench:
        result = await bench.client.sale(1250, card)
    assert (result.outcome, bench.client.state.next_stan) == ("unsent", 1)


async def test_demand_three_signs_on_again(
    wire: Any, host: FakeHost, card: Card, act: type[Act]
) -> None:
    """Processing demand 3 in a reply is followed."""
    async with wire(host) as bench:
        host.script.append(act(demand=ProcessingDemand.SIGN_ON))
        host.batch = "000008"
        result = await bench.client.sale(1250, card)
    assert (result.outcome, result.demand) == ("approved", ProcessingDemand.SIGN_ON)
    assert bench.sent == ["0200.22.000002", "0800.00.000003"]
    assert bench.client.state.batch == "000008"


async def test_wrong_batch_signs_on_again(
    wire: Any, host: FakeHost, card: Card, act: type[Act]
) -> None:
    """77 is a decline, after which the terminal fetches the new batch."""
    async with wire(host) as bench:
        host.script.append(act(fields={39: "77"}, remove=(38,)))
        host.batch = "000008"
        result = await bench.client.sale(1250, card)
    assert result.outcome == "declined"
    assert bench.client.state.batch == "000008"


async def test_demands_can_be_left_alone(
    wire: Any, host: FakeHost, card: Card, act: type[Act]
) -> None:
    """A terminal told not to follow only reports the demand."""
    async with wire(host, follow_demands=False) as bench:
        host.script.append(act(demand=ProcessingDemand.SIGN_ON))
        await bench.client.sale(1250, card)
        await bench.client.sale(1250, card)
    assert bench.sent == ["0200.22.000002", "0200.22.000003"]


async def test_demand_two_confirms_open_order_payments(
    wire: Any, host: FakeHost, card: Card, act: type[Act]
) -> None:
    """Each payment held open is confirmed, but not the one that the reply itself answers."""
    ask = act(demand=ProcessingDemand.UPLOAD_STATUS)
    async with wire(host) as bench:
        host.script.extend([None, ask, None, ask])
        await bench.client.order_payment("SP1", 500, "cash")
        await bench.client.order_payment("SP2", 600, "cash")
        await bench.client.sale(100, card)
    assert bench.sent == [
        "0200.72.000002",
        "0200.72.000003",
        "0220.73.000004",
        "0200.22.000005",
        "0220.73.000006",
    ]
    assert bench.client.state.open_orders == ()


async def test_confirmation_is_sent_until_it_is_answered(
    wire: Any, host: FakeHost, card: Card, act: type[Act]
) -> None:
    """An unanswered confirmation goes out again before the next transaction, with its STAN."""
    async with wire(host) as bench:
        host.script.extend([None, act(drop=True)])
        await bench.client.order_payment("SP1", 500, "cash")
        assert (await bench.client.order_confirm("SP1")).outcome == "no_answer"
        await bench.client.sale(100, card)
    assert bench.sent == [
        "0200.72.000002",
        "0220.73.000003",
        "0220.73.000003",
        "0200.22.000004",
    ]
    assert host.requests[1].raw == host.requests[2].raw


async def test_order_query_shows_what_is_due(wire: Any, host: FakeHost) -> None:
    """DE4 and the items of DE59 come out as values."""
    host.order_fields = {"OS": "00", "OW": "12", "OT": "Phone 手机壳|Block 14"}
    host.amount_due = "000000021478"
    async with wire(host) as bench:
        result = await bench.client.order_query("SP1", "C1001")
    order = result.order
    assert order is not None
    assert (order.amount_minor, order.status_in_words, order.pay_ways, order.text) == (
        21478,
        "to pay",
        "12",
        ("Phone 手机壳", "Block 14"),
    )


async def test_balance_inquiry(wire: Any, host: FakeHost, card: Card, act: type[Act]) -> None:
    """The balances of DE54 come out; nothing is journaled or reversed."""
    async with wire(host) as bench:
        host.script.append(act(fields={54: "1002156C000000500000"}))
        result = await bench.client.balance(card)
    assert [balance.amount_minor for balance in result.balances] == [500000]
    assert bench.client.state.journal == ()


async def test_echo_has_no_stan(wire: Any, host: FakeHost) -> None:
    """The line test carries no DE11 and works without keys."""
    async with wire(host, sign_on=False) as bench:
        assert (await bench.client.echo()).approved
    assert 11 not in host.requests[0].fields


async def test_sign_off_gives_the_keys_up(wire: Any, host: FakeHost, card: Card) -> None:
    """After sign-off the terminal takes no money."""
    async with wire(host) as bench:
        assert (await bench.client.sign_off()).approved
        with pytest.raises(LocalRefusal):
            await bench.client.sale(1, card)


async def test_reverse_undoes_the_last_approved_sale(wire: Any, host: FakeHost, card: Card) -> None:
    """Reversal by hand has reason 06 and marks the sale; a second one finds nothing."""
    async with wire(host) as bench:
        await bench.client.sale(1250, card)
        assert (await bench.client.reverse()).approved
        with pytest.raises(LocalRefusal):
            await bench.client.reverse()
    assert host.requests[1].get(39) == "06"
    assert bench.client.state.journal[-1].state == "reversed"


async def test_watch_sees_every_frame(wire: Any, host: FakeHost, card: Card) -> None:
    """The trace hook gets what was sent and received."""
    seen: list[str] = []
    async with wire(host) as bench:
        bench.client.link._watch = lambda direction, frame: seen.append(direction)
        await bench.client.sale(1250, card)
    assert seen == ["sent", "received"]


CHIP = Card("bob", "4000121185519754", "3201", "201", icc_mk="0123456789ABCDEFFEDCBA9876543210")
SCRIPT = "720F9F1804000000018606842400000812"


async def test_a_script_is_carried_out_and_told(wire: Any, host: FakeHost, act: type[Act]) -> None:
    """The result leaves at once, and again until it is answered; then the next transaction."""
    async with wire(host) as bench:
        host.script.extend([act(fields={55: SCRIPT}), act(drop=True)])
        sold = await bench.client.sale(1250, CHIP)
        await bench.client.sale(99, CHIP, "contactless")
    assert (sold.outcome, sold.issuer) == ("approved", "absent")
    assert bench.sent == [
        "0200.22.000002",
        "0620.00.000003",
        "0620.00.000003",
        "0200.22.000004",
    ]
    told = host.requests[1]
    objects = [(item.tag, item.value.hex()) for item in bertlv.parse(told.binary(55))]
    assert objects[0] == ("DF31", "2000000001")
    assert [tag for tag, _ in objects] == ["DF31", "9F10", "9F36", "95"]
    assert (told.get(61)[:12], told.get(37)) == ("000007000002", "000000000001")


async def test_an_answer_that_is_not_the_issuers_is_reversed(
    wire: Any, host: FakeHost, act: type[Act]
) -> None:
    """An approval with a wrong ARPC is not believed; its reversal says what the chip said."""
    async with wire(host) as bench:
        host.script.append(act(fields={55: "910A" + "00" * 8 + "3030" + SCRIPT}))
        sold = await bench.client.sale(1250, CHIP)
    assert (sold.outcome, sold.issuer, sold.reversed) == ("invalid", "wrong", True)
    assert bench.sent[:2] == ["0200.22.000002", "0400.22.000002"]
    undo = host.requests[1]
    tags = [item.tag for item in bertlv.parse(undo.binary(55))]
    assert (undo.get(39), tags) == ("06", ["DF31", "95", "9F10", "9F36", "9F1E"])

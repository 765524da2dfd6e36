"""Several security modules as one: cut, hung, gone and returned ones; against real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import trio
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from acquirer.config.addresses import TcpAddress
from acquirer.hsm_sim.configuration import HsmTable
from acquirer.hsm_sim.lmk import TEST_VARIANT_PAIRS, VariantLmk
from acquirer.hsm_sim.module import SecurityModule
from acquirer.hsm_sim.server import HsmServer
from acquirer.hsm_sim.state import Settings
from acquirer.payments.kernel.errors import HsmOtherLmk, HsmRefused, HsmUnavailable
from acquirer.payments.kernel.vault import data_key_with_check
from acquirer.switch.hsm.client import DEK, Hsm, decipher_command
from acquirer.switch.hsm.failover import FailoverTransport, Proof
from acquirer.switch.hsm.modules import data_key_proof
from acquirer.switch.hsm.transport import InProcessTransport, TcpTransport
from acquirer.switch.watch.collectors import HsmCollector

pytestmark = pytest.mark.anyio

Serve = Callable[[trio.SocketStream], Awaitable[None]]
PATIENCE_S = 300.0
# Scripted modules know no keys: their word for the published test LMK is enough.
BY_CHECK_VALUE = Proof(b"NC", lambda reply: reply[4:10] == b"268604")


def server() -> HsmServer:
    """A module with the published test keys."""
    return HsmServer(HsmTable(header_length=8, test_lmk=True).module())


def other() -> HsmServer:
    """A module under another local master key."""
    pairs = (*TEST_VARIANT_PAIRS[1:], TEST_VARIANT_PAIRS[0])
    return HsmServer(SecurityModule({"00": VariantLmk(pairs)}, settings=Settings(header_length=8)))


async def books() -> tuple[Proof, str, bytes]:
    """A data key under the published test LMK: its proof, its DEK, and itself enciphered."""
    hsm = Hsm(InProcessTransport(server()._module.execute, 8))
    dek = await hsm.generate_key(DEK)
    sealed = await hsm.encipher(dek, data_key_with_check(bytes(32)))
    return data_key_proof(dek, sealed), dek, sealed


async def hung(stream: trio.SocketStream) -> None:
    """Take everything, answer nothing."""
    while await stream.receive_some(4096):
        pass


async def cut(stream: trio.SocketStream) -> None:
    """Answer health checks; fall at the first command, with the reply half sent."""
    while received := await stream.receive_some(4096):
        if bytes(received)[10:12] != b"NC":
            await stream.send_all(b"\x00\x20" + bytes(received)[2:10])
            break
        await stream.send_all(
            b"\x00\x25" + bytes(received)[2:10] + b"ND0026860476470449110007-E000"
        )
    await stream.aclose()


async def listening(nursery: trio.Nursery, serve: Serve | HsmServer, port: int = 0) -> int:
    """Start a module; its port."""
    if isinstance(serve, HsmServer):
        listeners = await nursery.start(serve.serve, port)
    else:
        scripted = serve

        async def handle(stream: trio.SocketStream) -> None:
            with suppress(trio.BrokenResourceError):
                await scripted(stream)

        listeners = await nursery.start(trio.serve_tcp, handle, port)
    return int(listeners[0].socket.getsockname()[1])


async def free_port() -> int:
    """A port on which nobody listens."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    return int(port)


@asynccontextmanager
async def over(
    *ports: int,
    proof: Proof = BY_CHECK_VALUE,
    deadline_s: float = PATIENCE_S,
    check_every_s: float = 0.05,
    checked: bool = True,
) -> AsyncIterator[FailoverTransport]:
    """A transport over the modules on these ports, named a, b, …"""
    async with trio.open_nursery() as nursery:
        wires = {
            name: TcpTransport(
                nursery,
                TcpAddress("127.0.0.1", port),
                connections=2,
                header_length=8,
                deadline_s=deadline_s,
            )
            for name, port in zip("abc", ports, strict=False)
        }
        transport = FailoverTransport(
            wires, proof, deadline_s=deadline_s, check_every_s=check_every_s
        )
        if checked:
            nursery.start_soon(transport.run)
        yield transport
        transport.close()
        nursery.cancel_scope.cancel()


def states(transport: FailoverTransport) -> dict[str, str]:
    """State by module."""
    return {status.module: status.state for status in transport.states()}


async def until(transport: FailoverTransport, expected: dict[str, str]) -> None:
    """Wait for the modules' states."""
    with trio.fail_after(PATIENCE_S):
        while states(transport) != expected:  # noqa: ASYNC110
            await trio.sleep(0.01)


async def test_first_in_order_serves() -> None:
    """While all are up, every command goes to the first."""
    first, second = server(), server()
    async with trio.open_nursery() as nursery:
        ports = [await listening(nursery, one) for one in (first, second)]
        async with over(*ports, checked=False) as transport:
            for _ in range(20):
                assert await Hsm(transport).status()
            assert {"a": "up", "b": "up"} == states(transport)
            assert (2, 0) == (first.connections, second.connections)
        nursery.cancel_scope.cancel()


async def test_killed_in_mid_flight() -> None:
    """Commands on their way in a module that falls are carried out by the next, none is lost."""
    done: list[bytes] = []
    async with trio.open_nursery() as nursery:
        ports = [await listening(nursery, cut), await listening(nursery, server())]
        async with over(*ports, check_every_s=60) as transport:
            await until(transport, {"a": "up", "b": "up"})

            async def one(number: int) -> None:
                done.append(await transport.call(b"B20003%03d" % number))

            async with trio.open_nursery() as calls:
                for number in range(200):
                    calls.start_soon(one, number)
            assert [b"B300%03d" % number for number in range(200)] == sorted(done)
        nursery.cancel_scope.cancel()


async def test_hangs() -> None:
    """A module that answers nothing leaves time to the next, and is left out afterwards."""
    async with trio.open_nursery() as nursery:
        ports = [await listening(nursery, hung), await listening(nursery, server())]
        async with over(*ports, deadline_s=0.6, checked=False) as transport:
            assert await Hsm(transport).status()
            assert {"a": "down", "b": "up"} == states(transport)
            assert await Hsm(transport).status()
            assert (1, 0) == tuple(status.unanswered for status in transport.states())
        nursery.cancel_scope.cancel()


async def test_health_check_finds_what_hangs() -> None:
    """A module that hangs is known before the first command."""
    async with trio.open_nursery() as nursery:
        ports = [await listening(nursery, hung), await listening(nursery, server())]
        async with over(*ports, deadline_s=0.2) as transport:
            await until(transport, {"a": "down", "b": "up"})
            assert await Hsm(transport).status()
            assert (0, 0) == tuple(status.unanswered for status in transport.states())
        nursery.cancel_scope.cancel()


async def test_all_down() -> None:
    """Without a module: unavailable, within the deadline, each time."""
    async with trio.open_nursery() as nursery:
        ports = [await listening(nursery, hung), await free_port()]
        async with over(*ports, deadline_s=0.3, checked=False) as transport:
            for _ in range(2):
                with trio.fail_after(PATIENCE_S), pytest.raises(HsmUnavailable):
                    await Hsm(transport).status()
            assert {"a": "down", "b": "down"} == states(transport)
        nursery.cancel_scope.cancel()


async def test_comes_back() -> None:
    """A module that is gone is told of once, and taken back, and preferred, when it returns."""
    second = server()
    with capture_logs() as events:
        async with trio.open_nursery() as nursery:
            async with trio.open_nursery() as first:
                ports = [await listening(first, server()), await listening(nursery, second)]
                first.cancel_scope.cancel()
            async with over(*ports) as transport:
                assert await Hsm(transport).status()
                await until(transport, {"a": "down", "b": "up"})
                again = server()
                await listening(nursery, again, ports[0])
                await until(transport, {"a": "up", "b": "up"})
                calls = second_calls(second)
                assert "U" == (await Hsm(transport).generate_key("001"))[0]
                assert calls == second_calls(second)
            nursery.cancel_scope.cancel()
    told = [(event["module"], event["state"]) for event in events if event["event"] == "hsm_module"]
    assert [("a", "down"), ("a", "up")] == told


def second_calls(hsm: HsmServer) -> int:
    """Keys that a module has made."""
    return hsm._module.counts["A0"].calls


async def test_all_were_down_and_one_returns() -> None:
    """With all down each command tries all, so the first one after a return is carried out."""
    ports = [await free_port(), await free_port()]
    async with over(*ports, check_every_s=60) as transport:
        await until(transport, {"a": "down", "b": "down"})
        async with trio.open_nursery() as nursery:
            await listening(nursery, server(), ports[1])
            assert await Hsm(transport).status()
            assert {"a": "down", "b": "up"} == states(transport)
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("wrong", [0, 1])
async def test_other_local_master_key(wrong: int) -> None:
    """A module in which the data key does not open is never used, whatever becomes of the other."""
    proof, *_ = await books()
    servers = [server(), server()]
    stranger = servers[wrong] = other()
    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as right:
            ports = [
                await listening(nursery if place == wrong else right, one)
                for place, one in enumerate(servers)
            ]
            async with over(*ports, proof=proof, deadline_s=0.5) as transport:
                expected = {"a": "up", "b": "up", "ab"[wrong]: "other_lmk"}
                await until(transport, expected)
                assert await Hsm(transport).generate_key("001")
                right.cancel_scope.cancel()
                with pytest.raises(HsmUnavailable):
                    await Hsm(transport).generate_key("001")
                assert 0 == second_calls(stranger)
        nursery.cancel_scope.cancel()


async def test_the_first_returns_under_another_local_master_key() -> None:
    """The one that fits goes on serving, and the first is taken back under the right key."""
    proof, *_ = await books()
    second = server()
    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as first:
            ports = [await listening(first, server()), await listening(nursery, second)]
            async with over(*ports, proof=proof) as transport:
                await until(transport, {"a": "up", "b": "up"})
                first.cancel_scope.cancel()
                await until(transport, {"a": "down", "b": "up"})
                async with trio.open_nursery() as returned:
                    stranger = other()
                    await listening(returned, stranger, ports[0])
                    await until(transport, {"a": "other_lmk", "b": "up"})
                    assert await Hsm(transport).generate_key("001")
                    assert (0, 1) == (second_calls(stranger), second_calls(second))
                    returned.cancel_scope.cancel()
                await until(transport, {"a": "down", "b": "up"})
                await listening(nursery, server(), ports[0])
                await until(transport, {"a": "up", "b": "up"})
        nursery.cancel_scope.cancel()


async def test_keys_change_between_two_health_checks() -> None:
    """A refusal that looks like another key's is not believed: the module must prove itself."""
    proof, dek, sealed = await books()
    changing = server()
    async with trio.open_nursery() as nursery:
        ports = [await listening(nursery, changing), await listening(nursery, server())]
        async with over(*ports, proof=proof, checked=False) as transport:
            assert await transport.call(decipher_command(dek, sealed))
            changing._module.state.default_lmk = other()._module.state.default_lmk
            reply = await transport.call(decipher_command(dek, sealed))
            assert b"00" == reply[2:4]
            assert {"a": "other_lmk", "b": "up"} == states(transport)
        nursery.cancel_scope.cancel()


async def test_a_refusal_of_a_module_that_fits() -> None:
    """It is the answer, is counted where a key is refused, and the module stays."""
    proof, *_ = await books()
    refused: list[str] = []
    async with trio.open_nursery() as nursery:
        ports = [await listening(nursery, server()), await listening(nursery, server())]
        async with over(*ports, proof=proof, checked=False) as transport:
            hsm = Hsm(transport, lambda: refused.append("a key"))
            with pytest.raises(HsmRefused, match="10"):
                await hsm.kcv("U" + "0" * 32, "002")
            with pytest.raises(HsmRefused, match="68"):
                await hsm.call(b"QQ")
            assert ["a key"] == refused
            assert {"a": "up", "b": "up"} == states(transport)
        nursery.cancel_scope.cancel()


async def test_no_module_fits() -> None:
    """All answer, all under another key: unavailable, and told as what it is."""
    proof, *_ = await books()
    async with trio.open_nursery() as nursery:
        ports = [await listening(nursery, other())]
        async with over(*ports, proof=proof) as transport:
            for _ in range(2):
                with pytest.raises(HsmOtherLmk):
                    await Hsm(transport).generate_key("001")
            assert {"a": "other_lmk"} == states(transport)
        nursery.cancel_scope.cancel()


async def test_refused_health_check() -> None:
    """A module that answers NC with an error is not used."""

    async def refusing(stream: trio.SocketStream) -> None:
        while received := await stream.receive_some(4096):
            await stream.send_all(b"\x00\x0c" + bytes(received)[2:10] + b"ND68")

    async with trio.open_nursery() as nursery:
        ports = [await listening(nursery, refusing), await listening(nursery, server())]
        async with over(*ports) as transport:
            await until(transport, {"a": "down", "b": "up"})
        nursery.cancel_scope.cancel()


async def test_metrics() -> None:
    """/metrics shows which module is used and what each left unanswered."""
    async with trio.open_nursery() as nursery:
        ports = [await free_port(), await listening(nursery, server())]
        async with over(*ports, checked=False) as transport:
            registry = CollectorRegistry()
            registry.register(HsmCollector(transport.states))
            await Hsm(transport).status()

            def value(name: str, module: str) -> float | None:
                return registry.get_sample_value(name, {"module": module})

            assert (0, 1) == (value("acquirer_hsm_up", "a"), value("acquirer_hsm_up", "b"))
            assert 1 == value("acquirer_hsm_unanswered_total", "a")
        nursery.cancel_scope.cancel()

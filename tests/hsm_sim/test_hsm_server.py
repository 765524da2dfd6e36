"""The TCP shell: splits, pipelining, limits, TLS; the metrics beside it."""

import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest
import trio
import trio.testing
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from acquirer.hsm_sim.errors import HsmConfigError
from acquirer.hsm_sim.metrics import ModuleCollector, answer
from acquirer.hsm_sim.module import SecurityModule, published_lmks
from acquirer.hsm_sim.server import HsmServer, ServerLimits
from acquirer.hsm_sim.state import Settings
from acquirer.hsm_sim.tls import server_context

pytestmark = pytest.mark.anyio

REPLY = b"ND0026860476470449110007-E000"


def frame(body: bytes) -> bytes:
    """A body with its length."""
    return len(body).to_bytes(2, "big") + body


def server(limits: ServerLimits | None = None) -> HsmServer:
    """A server with a fresh module and 4-character headers."""
    return HsmServer(SecurityModule.with_test_lmks(Settings(test_lmk=True)), limits)


async def receive(stream: trio.abc.Stream, size: int) -> bytes:
    """Exactly ``size`` bytes, or fewer at the end of the stream."""
    received = b""
    while len(received) < size:
        chunk = await stream.receive_some(size - len(received))
        if not chunk:
            break
        received += chunk
    return received


async def test_pipelined_over_tcp() -> None:
    """Many requests in one write are answered in their order, on a port of the system's choice."""
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(server().serve, 0)
        stream = await trio.open_tcp_stream(*listeners[0].socket.getsockname()[:2])
        async with stream:
            expected = b"".join(frame(b"%04d" % n + REPLY) for n in range(100))
            await stream.send_all(b"".join(frame(b"%04dNC" % n) for n in range(100)))
            assert expected == await receive(stream, len(expected))
        nursery.cancel_scope.cancel()


async def test_byte_by_byte() -> None:
    """Frames may come in any split."""
    client, peer = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server().handle, peer)
        for byte in frame(b"ABCDNC"):
            await client.send_all(bytes([byte]))
        expected = frame(b"ABCD" + REPLY)
        assert expected == await receive(client, len(expected))
        await client.aclose()


@pytest.mark.parametrize("broken", [b"\xff\xff", b"\x00\x00", b"\x80\x01NCNC"])
async def test_broken_frames_close_one_connection(broken: bytes) -> None:
    """A frame that cannot be ends its connection; others live on."""
    hsm = server()
    client, peer = trio.testing.memory_stream_pair()
    other, other_peer = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hsm.handle, peer)
        nursery.start_soon(hsm.handle, other_peer)
        await client.send_all(broken)
        assert await receive(client, 1) == b""
        await other.send_all(frame(b"ABCDNC"))
        assert frame(b"ABCD" + REPLY) == await receive(other, 35)
        await other.aclose()
    assert (hsm.broken_frames, hsm.connections) == (1, 0)


@asynccontextmanager
async def connected(hsm: HsmServer, count: int) -> AsyncIterator[list[trio.abc.Stream]]:
    """So many connections that are served, in their order."""
    clients: list[trio.abc.Stream] = []
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            client, peer = trio.testing.memory_stream_pair()
            nursery.start_soon(hsm.handle, peer)
            clients.append(client)
            await trio.testing.wait_all_tasks_blocked()
        yield clients
        nursery.cancel_scope.cancel()


async def answered(client: trio.abc.Stream) -> bool:
    """Whether a connection's command is answered; false where it has been closed."""
    try:
        await client.send_all(frame(b"ABCDNC"))
    except trio.BrokenResourceError:
        return False
    return frame(b"ABCD" + REPLY) == await receive(client, len(REPLY) + 6)


async def test_silent_strangers_give_way() -> None:
    """All places held by connections that send nothing: whoever sends commands gets in."""
    hsm = server(ServerLimits(max_connections=4))
    async with connected(hsm, 4) as strangers, connected(hsm, 2) as switch:
        assert [await answered(client) for client in switch] == [True, True]
        assert [await receive(stranger, 1) for stranger in strangers[:2]] == [b"", b""]
        assert [await answered(stranger) for stranger in strangers[2:]] == [True, True]
    assert (hsm.refused_connections, hsm.connections) == (2, 0)


@pytest.mark.parametrize("sent", [b"\x00\x06ABCDQQ", b"\x00\x06ABCDN", b"\x00\x02AB"])
async def test_what_is_no_command_proves_nothing(sent: bytes) -> None:
    """Unknown commands and parts of a frame keep no place."""
    hsm = server(ServerLimits(max_connections=1))
    async with connected(hsm, 1) as strangers:
        await strangers[0].send_all(sent)
        await trio.testing.wait_all_tasks_blocked()
        async with connected(hsm, 1) as switch:
            assert await answered(switch[0])


async def test_who_sends_commands_stays() -> None:
    """Where all places are of clients that have sent commands lately, a newcomer is closed."""
    hsm = server(ServerLimits(max_connections=2))
    async with connected(hsm, 2) as clients:
        assert [await answered(client) for client in clients] == [True, True]
        async with connected(hsm, 1) as newcomers:
            assert await receive(newcomers[0], 1) == b""
        assert [await answered(client) for client in clients] == [True, True]
    assert hsm.refused_connections == 1


def test_long_silence_gives_way() -> None:
    """A client that has been silent for long loses its place to a newcomer, the longest first."""

    async def main() -> None:
        hsm = server(ServerLimits(max_connections=2, first_command_s=30))
        async with connected(hsm, 2) as clients:
            for client in clients:
                assert await answered(client)
            await trio.sleep(20)
            assert await answered(clients[0])
            await trio.sleep(10)
            async with connected(hsm, 1) as newcomers:
                assert await answered(newcomers[0])
                assert await answered(clients[0])
                assert await receive(clients[1], 1) == b""

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize("sent", [b"", b"\x00", b"\x00\x06ABCDQQ"])
def test_the_first_command_must_come_soon(sent: bytes) -> None:
    """A connection that sends no command is closed on the clock of the test, dribble or not."""

    async def main() -> None:
        async with connected(server(ServerLimits(first_command_s=5)), 1) as clients:
            began = trio.current_time()
            if sent:
                await clients[0].send_all(sent)
            while await clients[0].receive_some(100):
                pass
            assert trio.current_time() - began == pytest.approx(5)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_flood_writes_few_lines() -> None:
    """Thousands of broken frames and connections, and of bad commands: ten lines a second each."""

    settings = Settings(test_lmk=True)
    module = SecurityModule(published_lmks(settings), settings=settings, now=lambda: 0.0)

    async def main() -> None:
        hsm = HsmServer(module, ServerLimits(max_connections=1))
        async with connected(hsm, 1) as clients:
            assert await answered(clients[0])
            for _ in range(1000):
                client, peer = trio.testing.memory_stream_pair()
                await hsm.handle(peer)
                await client.aclose()
        for sent in [b"\x00\x00"] * 1000 + [frame(b"ABCDNCx") * 500, frame(b"ABCDQQ") * 500]:
            client, peer = trio.testing.memory_stream_pair()
            await client.send_all(sent)
            await client.send_eof()
            await hsm.handle(peer)
        assert (hsm.refused_connections, hsm.broken_frames) == (1000, 1000)

    with capture_logs() as events:
        trio.run(main, clock=trio.testing.MockClock())
    told = Counter(str(event["event"]) for event in events)
    assert told["hsm_connection_refused"] + told["hsm_frame_refused"] == 10
    assert told["hsm_refused"] + told["hsm_unknown_command"] == 10


def test_idle_connections_are_closed() -> None:
    """A connection ends one idle time-out after its last request, on the clock of the test."""

    async def main() -> None:
        client, peer = trio.testing.memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server(ServerLimits(idle_timeout_s=30)).handle, peer)
            for pause in (0.1, 0.4, 29):
                await trio.sleep(pause)
                await client.send_all(frame(b"ABCDNC"))
                assert await receive(client, 2)
        assert 59.5 <= trio.current_time() - started <= 59.5 + 30 / 64

    clock = trio.testing.MockClock(autojump_threshold=0)
    started = clock.current_time()
    trio.run(main, clock=clock)


async def test_broken_connection_is_no_fault() -> None:
    """A client that disappears before its reply leaves the server as it was."""
    hsm = server()
    client, peer = trio.testing.memory_stream_pair()
    await client.send_all(frame(b"ABCDNC"))
    await client.aclose()
    await hsm.handle(peer)
    assert hsm.connections == 0


class Authority(NamedTuple):
    """A private key and its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate | None

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Two PEM files: certificate and key."""
        assert self.certificate is not None
        files = folder / f"{name}.pem", folder / f"{name}.key"
        files[0].write_bytes(self.certificate.public_bytes(Encoding.PEM))
        files[1].write_bytes(
            self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        return files


def certificate(name: str, issuer: Authority | None = None) -> Authority:
    """A key and certificate, signed by itself or by another."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = issuer or Authority(key, None)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer.certificate.subject if signer.certificate else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(signer.key, hashes.SHA256())
    )
    return Authority(key, made)


@pytest.mark.parametrize("known", [True, False])
async def test_tls_asks_for_a_client_certificate(tmp_path: Path, known: bool) -> None:
    """A client with a certificate of the authority is answered, one without is not."""
    authority, hsm = certificate("authority"), server()
    authority_file, _ = authority.write(tmp_path, "authority")
    served = certificate("module", authority).write(tmp_path, "module")
    context = server_context(*served, authority_file)
    client = ssl.create_default_context(cafile=str(authority_file))
    if known:
        client.load_cert_chain(*certificate("switch", authority).write(tmp_path, "switch"))
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(partial(hsm.serve_listeners, tls=context), listeners)
        tcp = await trio.open_tcp_stream(*listeners[0].socket.getsockname()[:2])
        stream = trio.SSLStream(tcp, client, server_hostname="module")
        if known:
            await stream.send_all(frame(b"ABCDNC"))
            assert frame(b"ABCD" + REPLY) == await receive(stream, 35)
        else:
            await stream.do_handshake()
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some(1)
        await trio.aclose_forcefully(stream)
        nursery.cancel_scope.cancel()


def test_tls_files_that_cannot_be_used(tmp_path: Path) -> None:
    """A missing or wrong file is the operator's error, told without a key."""
    (tmp_path / "junk.pem").write_text("junk")
    for path in (tmp_path / "absent.pem", tmp_path / "junk.pem"):
        with pytest.raises(HsmConfigError, match="TLS"):
            server_context(path, path, None)


@pytest.mark.parametrize(
    "limits", [{"frame_bytes_max": 0}, {"max_connections": 0}, {"first_command_s": 0}]
)
def test_limits_are_checked(limits: dict[str, int]) -> None:
    """Limits that let nothing through are refused."""
    with pytest.raises(HsmConfigError):
        ServerLimits(**limits)


async def http(request: bytes) -> bytes:
    """What the metrics server answers a request after two commands."""
    settings = Settings(header_length=0, test_lmk=True)
    clock = count(0.0, 0.00002).__next__
    module = SecurityModule(published_lmks(settings), settings=settings, clock=clock)
    for command in (b"NC", b"NC%99", b"QQ"):
        module.execute(command)
    registry = CollectorRegistry()
    registry.register(ModuleCollector(module, HsmServer(module)))
    client, peer = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer, registry, peer)
        await client.send_all(request)
        await client.send_eof()
        return await receive(client, 100_000)


async def test_metrics() -> None:
    """Counts, errors and a latency histogram by command; server numbers beside them."""
    answered = (await http(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")).decode()
    assert answered.startswith("HTTP/1.1 200")
    for line in (
        'hsm_commands_total{command="NC"} 2.0',
        'hsm_command_errors_total{command="NC"} 1.0',
        'hsm_command_seconds_bucket{command="NC",le="1e-05"} 0.0',
        'hsm_command_seconds_bucket{command="NC",le="2.5e-05"} 2.0',
        'hsm_command_seconds_bucket{command="NC",le="+Inf"} 2.0',
        'hsm_command_seconds_count{command="NC"} 2.0',
        "hsm_unknown_commands_total 1.0",
        "hsm_connections 0.0",
        "hsm_refused_connections_total 0.0",
        "hsm_broken_frames_total 0.0",
    ):
        assert f"\n{line}\n" in answered
    assert 'command="CA"' not in answered


@pytest.mark.parametrize(
    ("request_bytes", "start"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 404"),
        (b"POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 404"),
        (b"nonsense\r\n\r\n", b""),
        (b"", b""),
    ],
)
async def test_other_http_requests(request_bytes: bytes, start: bytes) -> None:
    """Other paths and methods are not found; what is no HTTP gets no answer."""
    answered = await http(request_bytes)
    assert start == answered[: len(start)]
    assert bool(answered) == bool(start)


def test_slow_http_requests_end() -> None:
    """A client that says nothing is left after five seconds of the test's clock."""

    async def main() -> None:
        client, peer = trio.testing.memory_stream_pair()
        await answer(CollectorRegistry(), peer)
        assert trio.current_time() - started == pytest.approx(5)
        assert await receive(client, 1) == b""

    clock = trio.testing.MockClock(autojump_threshold=0)
    started = clock.current_time()
    trio.run(main, clock=clock)

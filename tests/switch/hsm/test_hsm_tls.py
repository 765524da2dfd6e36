"""The security module under TLS: both sides show certificates, or no command passes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from acquirer.config.addresses import TcpAddress
from acquirer.config.tls import TlsSettings, client_context
from acquirer.hsm_sim.configuration import HsmTable
from acquirer.hsm_sim.server import HsmServer
from acquirer.hsm_sim.tls import server_context
from acquirer.payments.kernel.errors import HsmUnavailable
from acquirer.switch.hsm.client import Hsm
from acquirer.switch.hsm.transport import TcpTransport

pytestmark = pytest.mark.anyio

Issue = Callable[[str], TlsSettings]


@pytest.fixture(scope="module")
def issue(tmp_path_factory: pytest.TempPathFactory) -> Issue:
    """Makes files of a key and a certificate by one authority."""
    folder = tmp_path_factory.mktemp("tls")
    authority_key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])

    def make(name: str, *, authority: bool = False) -> TlsSettings:
        key = authority_key if authority else ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
            .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        )
        certificate = builder.sign(authority_key, hashes.SHA256())
        files = folder / f"{name}.pem", folder / f"{name}.key"
        files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        files[1].write_bytes(private)
        ca = str(folder / "authority.pem")
        return TlsSettings(str(files[0]), str(files[1]), ca, server_name="module.test")

    make("authority", authority=True)
    return make


@pytest.mark.parametrize("shown", [True, False])
async def test_tls(issue: Issue, shown: bool) -> None:
    """A switch with a certificate is served, pipelined; one without is not."""
    served, ours = issue("module.test"), issue("switch.test")
    if not shown:
        ours = TlsSettings(ca=ours.ca)
    context = server_context(*(Path(file) for file in (served.certificate, served.key, served.ca)))
    server = HsmServer(HsmTable(header_length=8, test_lmk=True).module())
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(partial(server.serve_listeners, tls=context), listeners)
        transport = TcpTransport(
            nursery,
            TcpAddress("127.0.0.1", listeners[0].socket.getsockname()[1]),
            connections=1,
            header_length=8,
            deadline_s=5.0,
            tls=client_context(ours),
            server_name="module.test",
        )
        if shown:
            replies: list[bytes] = []

            async def one(number: int) -> None:
                replies.append(await transport.call(b"B20002%02d" % number))

            async with trio.open_nursery() as calls:
                for number in range(50):
                    calls.start_soon(one, number)
            assert [b"B300%02d" % number for number in range(50)] == sorted(replies)
            assert 1 == server.connections
        else:
            with pytest.raises(HsmUnavailable):
                await Hsm(transport).status()
        transport.close()
        nursery.cancel_scope.cancel()


async def test_foreign_module(issue: Issue) -> None:
    """A module whose certificate bears another name is not spoken to."""
    served = issue("other.test")
    context = server_context(*(Path(file) for file in (served.certificate, served.key, served.ca)))
    server = HsmServer(HsmTable(header_length=8, test_lmk=True).module())
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(partial(server.serve_listeners, tls=context), listeners)
        transport = TcpTransport(
            nursery,
            TcpAddress("127.0.0.1", listeners[0].socket.getsockname()[1]),
            connections=1,
            header_length=8,
            deadline_s=5.0,
            tls=client_context(issue("switch.test")),
            server_name="module.test",
        )
        with pytest.raises(HsmUnavailable, match=r"answers, but .*certificate is not trusted"):
            await Hsm(transport).status()
        nursery.cancel_scope.cancel()

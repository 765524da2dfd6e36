"""Certificates that cannot be used are named, and so is what TLS finds wrong with a peer."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio
from certificates import Authority
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from trio.testing import memory_stream_pair

from acquirer.config.tls import TlsSettings, client_context, expired, server_context, tls_reason

pytestmark = pytest.mark.anyio


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Makes certificates, and beside them files that are none."""
    (tmp_path / "junk").write_text("junk")
    (tmp_path / "folder").mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    secret = BestAvailableEncryption(b"secret")
    (tmp_path / "locked").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret))
    return Authority(tmp_path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"certificate": "gone"}, "gone: No such file"),
        ({"key": "gone"}, "gone: No such file"),
        ({"ca": "gone"}, "gone: No such file"),
        ({"certificate": "folder"}, "folder: Is a directory"),
        ({"certificate": "junk"}, "junk or .*a.key: no certificate and its key"),
        ({"ca": "junk"}, "junk: holds no certificate"),
        ({"ca": "a.key"}, "a.key: holds no certificate"),
        ({"key": "b.key"}, "b.key: is not the key of .*a.pem"),
        ({"key": "locked"}, "locked: no certificate and its key, in PEM, unenciphered"),
    ],
)
@pytest.mark.parametrize("make", [client_context, server_context])
def test_a_file_that_cannot_be_used_is_named(
    authority: Authority, tmp_path: Path, changes: dict[str, str], reason: str, make: object
) -> None:
    """With the reason; nobody is asked for a passphrase."""
    authority("b")
    good = authority("a")
    files = {name: str(tmp_path / file) for name, file in changes.items()}
    settings = TlsSettings(**({"certificate": good.certificate, "key": good.key} | files))
    with pytest.raises(OSError, match=reason):
        make(settings)  # type: ignore[operator]


def test_who_listens_needs_a_certificate() -> None:
    """Without one every handshake would fail, one by one."""
    with pytest.raises(OSError, match="certificate is empty"):
        server_context(TlsSettings())


def test_an_own_certificate_that_has_ended_is_told(authority: Authority, tmp_path: Path) -> None:
    """By its file, and since when; one that is good is not, nor one that is none."""
    now = datetime.now(UTC)
    ended, good = authority("old", days=-1), authority("new")
    assert expired(ended, now).startswith(f"{ended.certificate}: our certificate expired on")
    assert ("", "") == (expired(good, now), expired(TlsSettings(), now))
    assert expired(good, now + timedelta(days=2))
    with pytest.raises(OSError, match="junk: holds no certificate"):
        expired(TlsSettings(certificate=str(tmp_path / "junk")), now)


async def shake(client: TlsSettings, server: TlsSettings | None) -> tuple[str, str]:
    """What each end has to say after a handshake and a byte each way; the server may be plain."""
    near, far = memory_stream_pair()
    ends = [trio.SSLStream(near, client_context(client), server_hostname="bank.test")]
    if server is not None:
        ends.append(trio.SSLStream(far, server_context(server), server_side=True))
    reasons = ["", ""]

    async def talk(index: int, stream: trio.abc.Stream) -> None:
        try:
            await stream.send_all(b"x")
            await stream.receive_some(1)
        except trio.BrokenResourceError as error:
            reasons[index] = tls_reason(error)
            await trio.aclose_forcefully(near if index == 0 else far)

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            for index, end in enumerate(ends):
                nursery.start_soon(talk, index, end)
            if server is None:
                await far.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    return reasons[0], reasons[1]


async def test_what_tls_finds_wrong_is_said_in_words(authority: Authority, tmp_path: Path) -> None:
    """On either end: no trust, another name, an ended certificate, none, no TLS at all."""
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other")
    ours, bank = authority("switch.test"), authority("bank.test")
    assert ("", "") == await shake(ours, bank)
    untrusted = "TLS: the peer's certificate is not trusted: "
    found, _ = await shake(stranger("switch.test"), bank)
    assert found.startswith(untrusted)
    found, _ = await shake(ours, authority("elsewhere.test"))
    assert found.startswith(f"{untrusted}Hostname mismatch")
    found, _ = await shake(ours, authority("bank.test", days=-1))
    assert f"{untrusted}certificate has expired" == found
    _, found = await shake(authority("switch.test", days=-1), authority("bank.test"))
    assert f"{untrusted}certificate has expired" == found
    found, _ = await shake(ours, None)
    assert "TLS: the peer speaks no TLS" == found
    assert "" == tls_reason(trio.BrokenResourceError())
    refused = ssl.SSLError()
    refused.reason = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    assert "TLS: the peer refuses: certificate required" == tls_reason(refused)

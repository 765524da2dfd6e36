"""TLS as configuration, for links to banks and for terminals alike; files in PEM.

With ``ca`` both sides prove who they are: a peer without a certificate of that authority is not
served. Source: RFC 8446; NIST SP 800-52r2 (TLS 1.2 is the least that is spoken).
"""

from __future__ import annotations

import ssl
from datetime import datetime
from pathlib import Path

import msgspec


class TlsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files of one end.

    Attributes:
        certificate: our certificate with its chain; the listening end needs one.
        key: its private key, without a passphrase.
        ca: authorities that the peer's certificate must come from; empty on the connecting end
            takes the system's, on the listening end asks for no certificate.
        server_name: the name that the server's certificate must bear; empty takes the host.
    """

    certificate: str = ""
    key: str = ""
    ca: str = ""
    server_name: str = ""


def client_context(settings: TlsSettings) -> ssl.SSLContext:
    """The context of the end that connects; the server's certificate is always checked.

    Raises:
        OSError: a file cannot be read, or is no certificate or key; the text says which.
    """
    context = ssl.create_default_context(cadata=_authorities(settings.ca))
    return _with_own(context, settings)


def server_context(settings: TlsSettings) -> ssl.SSLContext:
    """The context of the end that listens.

    Raises:
        OSError: as for :func:`client_context`, or there is no certificate.
    """
    if not settings.certificate:
        raise OSError("certificate is empty; who listens needs one")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if settings.ca:
        context.load_verify_locations(cadata=_authorities(settings.ca))
        context.verify_mode = ssl.CERT_REQUIRED
    return _with_own(context, settings)


def expired(settings: TlsSettings, now: datetime) -> str:
    """Which certificate of our own peers will not take any more, and since when; or empty.

    Raises:
        OSError: its file cannot be read, or is no certificate.
    """
    from cryptography.x509 import load_pem_x509_certificate  # takes long to import

    if not settings.certificate:
        return ""
    try:
        own = load_pem_x509_certificate(_read(settings.certificate))
    except ValueError:
        raise OSError(f"{settings.certificate}: holds no certificate in PEM") from None
    until = own.not_valid_after_utc
    if now <= until:
        return ""
    return (
        f"{settings.certificate}: our certificate expired on {until:%Y-%m-%d %H:%M} UTC; renew it"
    )


def tls_reason(error: BaseException) -> str:
    """What TLS found wrong, where an exception of a stream comes from that; else empty."""
    cause = error if isinstance(error, ssl.SSLError) else error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"TLS: the peer's certificate is not trusted: {cause.verify_message}"
    if not isinstance(cause, ssl.SSLError) or isinstance(cause, ssl.SSLEOFError):
        return ""
    words = (cause.reason or "broken off").lower().replace("_", " ")
    if "wrong version number" in words:
        return "TLS: the peer speaks no TLS"
    before, is_alert, what = words.partition("alert ")
    return f"TLS: the peer refuses: {what}" if is_alert else f"TLS: {before}"


def _with_own(context: ssl.SSLContext, settings: TlsSettings) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.certificate:
        certificate, key = settings.certificate, settings.key or settings.certificate
        for file in (certificate, key):
            _read(file)
        try:
            context.load_cert_chain(certificate, key, _no_passphrase)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise OSError(f"{key}: is not the key of {certificate}") from None
            reason = f"{certificate} or {key}: no certificate and its key, in PEM, unenciphered"
            raise OSError(reason) from None
    return context


def _authorities(file: str) -> str | None:
    """The certificates in a file; None where there is no file, for the system's."""
    if not file:
        return None
    try:
        found = _read(file).decode("ascii")
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=found)
    except (ssl.SSLError, UnicodeDecodeError):
        raise OSError(f"{file}: holds no certificate in PEM") from None
    return found


def _read(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise OSError(f"{file}: {error.strerror}") from None


def _no_passphrase() -> str:
    # Else OpenSSL would ask for one at the terminal.
    return "-"

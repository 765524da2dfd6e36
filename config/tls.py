"""TLS as configuration, for links to banks and for terminals alike; files in PEM.

With ``ca`` both sides prove who they are: a peer without a certificate of that authority is not
served. Source: RFC 8446; NIST SP 800-52r2 (TLS 1.2 is the least that is spoken).
"""

from __future__ import annotations

import ssl

import msgspec


class TlsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files of one end.

    Attributes:
        certificate: our certificate with its chain.
        key: its private key.
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
        OSError: a file cannot be read, or is no certificate or key (``ssl.SSLError``).
    """
    context = ssl.create_default_context(cafile=settings.ca or None)
    return _with_own(context, settings)


def server_context(settings: TlsSettings) -> ssl.SSLContext:
    """The context of the end that listens.

    Raises:
        OSError: a file cannot be read, or is no certificate or key (``ssl.SSLError``).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if settings.ca:
        context.load_verify_locations(settings.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return _with_own(context, settings)


def _with_own(context: ssl.SSLContext, settings: TlsSettings) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.certificate:
        context.load_cert_chain(settings.certificate, settings.key or None)
    return context

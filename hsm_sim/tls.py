"""TLS of the module's server: its certificate, and the authority of its clients'.

Source: payShield practice (mutual TLS between host and module); RFC 8446, RFC 5246.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from acquirer.hsm_sim.errors import HsmConfigError


def server_context(certificate: Path, key: Path, client_ca: Path | None) -> ssl.SSLContext:
    """A context for TLS 1.2 and later.

    Args:
        certificate: PEM file with the server's certificate and what stands between it and its root.
        key: PEM file with its private key, not enciphered.
        client_ca: PEM file with the authorities of client certificates, which clients must then
            show; None asks for none.

    Raises:
        HsmConfigError: a file cannot be read or does not fit.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or type(error).__name__
        raise HsmConfigError(
            f"TLS: certificate, key or client authority cannot be used: {reason}"
        ) from None
    return context

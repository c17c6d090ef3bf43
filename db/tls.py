"""TLS to a database server: what the URL asks for, and the context that insists on it.

The files are read once, when the service starts.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from db.errors import DatabaseUrlError


class TlsMode(StrEnum):
    """How much of the server is verified."""

    REQUIRED = "required"
    VERIFY_CA = "verify-ca"
    VERIFY_IDENTITY = "verify-identity"


MODES = ", ".join(f"ssl={mode}" for mode in TlsMode)


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """What a URL asks for.

    Args:
        mode: REQUIRED encrypts and verifies nothing, VERIFY_CA also who signed the certificate, VERIFY_IDENTITY also that
            it is this host's.
        ca: path of the authorities' certificates; empty for those of the system.
        cert: path of the client's own certificate; empty for none.
        key: path of that certificate's key.
    """

    mode: TlsMode
    ca: str = ""
    cert: str = ""
    key: str = ""

    def context(self) -> ssl.SSLContext:
        """A context that verifies just that.

        Raises:
            DatabaseUrlError: one of the files cannot be used; the text names it.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = self.mode is TlsMode.VERIFY_IDENTITY
        context.verify_mode = ssl.CERT_NONE if self.mode is TlsMode.REQUIRED else ssl.CERT_REQUIRED
        if self.ca:
            # Without the system's authorities beside it: only the one that is asked for will do.
            self._load_authorities(context)
        elif self.mode is not TlsMode.REQUIRED:
            context.load_default_certs()
        if self.cert:
            self._load_own(context)
        return context

    def _load_authorities(self, context: ssl.SSLContext) -> None:
        _readable("ssl_ca", self.ca)
        try:
            context.load_verify_locations(cafile=self.ca)
        except ssl.SSLError:
            raise DatabaseUrlError(f"has ssl_ca={self.ca}, which holds no certificate in PEM form") from None

    def _load_own(self, context: ssl.SSLContext) -> None:
        _readable("ssl_cert", self.cert)
        _readable("ssl_key", self.key)
        try:
            context.load_cert_chain(self.cert, self.key, password=_no_passphrase)
        except _EncryptedKeyError:
            raise DatabaseUrlError(
                f"has ssl_key={self.key}, which is encrypted; the service needs a plain one"
            ) from None
        except ssl.SSLError as error:
            said = "do not belong together" if error.reason == "KEY_VALUES_MISMATCH" else "are not both in PEM form"
            raise DatabaseUrlError(f"has ssl_cert={self.cert} and ssl_key={self.key}, which {said}") from None


class _EncryptedKeyError(Exception):
    """A key asks for a passphrase."""


def _no_passphrase() -> str:
    # Without it OpenSSL would ask at the terminal.
    raise _EncryptedKeyError


def _readable(parameter: str, path: str) -> None:
    try:
        with Path(path).open("rb"):
            return
    except OSError as error:
        raise DatabaseUrlError(f"has {parameter}={path}, which cannot be read: {error.strerror}") from None


def tls_settings(parameters: dict[str, str]) -> TlsSettings | None:
    """What the parameters ssl, ssl_ca, ssl_cert and ssl_key ask for; None without any of them.

    Raises:
        DatabaseUrlError: they do not go together, or ssl has a value that it does not know.
    """
    value = parameters.get("ssl")
    ca, cert, key = (parameters.get(name, "") for name in ("ssl_ca", "ssl_cert", "ssl_key"))
    if value is None:
        if ca or cert or key:
            raise DatabaseUrlError(f"names files for TLS without asking for it: add one of {MODES}")
        return None
    try:
        mode = TlsMode(value)
    except ValueError:
        raise DatabaseUrlError(f"has a value of ssl that is none of {MODES}; for no TLS leave it out") from None
    if ca and mode is TlsMode.REQUIRED:
        raise DatabaseUrlError("has ssl_ca with ssl=required, which verifies nothing: write ssl=verify-identity")
    if bool(cert) != bool(key):
        raise DatabaseUrlError("has only one of ssl_cert and ssl_key; they go together")
    return TlsSettings(mode, ca, cert, key)

"""Secrets in option documents: sealed before they are stored, revealed only where they are used.

An option document is JSON. A secret in it stands in one of four forms, which `SecretValue` holds:

    "text"                    the secret itself; only in a request, never in the database
    {"env": "SOURCE_NAME"}    a variable of the service's environment; the prefix keeps a caller from asking for others
    {"file": "name"}          a file directly in the one folder that the settings name
    {"encrypted": "token"}    what `SecretBox.seal` makes of the first form (Fernet: AES-128-CBC with HMAC-SHA256)

Whoever may start a run chooses where it reads, so a secret of the service names the hosts that it may be sent to: in the variable
SOURCE_NAME_HOSTS or the file name.hosts beside it. One that names none is sent to the hosts of TECHAURA_SYNC_ALLOWED_HOSTS alone,
which are the operator's choice too.

Where a document holds secrets is data (`SecretPlaces`) that stands beside the options it describes. Sealing a document
twice changes nothing. Anything at a secret place that is in none of the reference forms is sealed, whatever it is, so
that a wrong document is not stored in clear either. No error and no repr shows a secret.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from cryptography.fernet import Fernet, InvalidToken

from server.core.errors import FatalError
from server.core.host_patterns import NO_HOSTS, HostPatterns, host_and_port
from server.core.reasons import Category, Reason

ENV_NAME: Final = re.compile(r"SOURCE_[A-Z0-9_]+")
FILE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
# What names the hosts of a secret is not one.
_ENV_HOSTS: Final = "_HOSTS"
_FILE_HOSTS: Final = ".hosts"
SECRET_BYTES_MAX: Final = 16 * 1024
# A Fernet token is one version byte, 8 of time, 16 of initialisation vector, whole AES blocks, 32 of signature.
_FERNET_VERSION: Final = 0x80
_FERNET_BYTES_MIN: Final = 1 + 8 + 16 + 16 + 32


@dataclass(frozen=True, slots=True)
class SecretValue:
    """A secret, or where to find it.

    Args:
        kind: which of the forms of the module's docstring.
        text: the secret, the variable's name, the file's name, or the token.
    """

    kind: Literal["inline", "env", "file", "encrypted"]
    text: str = field(repr=False)

    @property
    def origin(self) -> str:
        """Where the secret comes from, for a person; empty for one that stands in the options."""
        return {"env": self.text, "file": f"secret file {self.text}"}.get(self.kind, "")

    @classmethod
    def parse(cls, document: object) -> SecretValue:
        """Read one of the forms.

        Raises:
            ValueError: it has none of these forms; the text names the rule and not the value.
        """
        if isinstance(document, str):
            return cls("inline", document)
        if not isinstance(document, Mapping) or len(document) != 1:
            raise ValueError('must be a text, {"env": "SOURCE_NAME"} or {"file": "name"}')
        ((kind, text),) = document.items()
        if kind not in ("env", "file", "encrypted") or not isinstance(text, str):
            raise ValueError('must be a text, {"env": "SOURCE_NAME"} or {"file": "name"}')
        if kind == "env" and (not ENV_NAME.fullmatch(text) or text.endswith(_ENV_HOSTS)):
            raise ValueError(
                "names a variable that may not be read: it must begin with SOURCE_ (A-Z, 0-9 and _) and not end with _HOSTS"
            )
        if kind == "file" and (not FILE_NAME.fullmatch(text) or text.endswith(_FILE_HOSTS)):
            raise ValueError(
                "names no secret directly in the secrets folder (letters, digits, . _ -, no path, and not .hosts at the end)"
            )
        if kind == "encrypted" and not _looks_sealed(text):
            raise ValueError("holds no token of this service")
        return cls(kind, text)


@dataclass(frozen=True, slots=True)
class SecretPlaces:
    """Where an option document holds secrets.

    Args:
        values: dot paths of single secrets, such as auth.token.
        maps: dot paths of objects in which each value is a secret.
        public_names: names, lower case, whose values in `maps` are not secret.
        trees: dot paths of values in which texts are secrets, at any depth, where `means_secret` says so of their name.
        means_secret: whether a field of that name and value holds a secret.
    """

    values: tuple[str, ...] = ()
    maps: tuple[str, ...] = ()
    public_names: frozenset[str] = frozenset()
    trees: tuple[str, ...] = ()
    means_secret: Callable[[str, object], bool] = lambda _name, _value: False


class SecretBox:
    """Seals and opens secrets with one key.

    Args:
        files_dir: the folder of secret files; None without one.
        trusted: the hosts of secrets that name none themselves.

    Raises:
        FatalError: SECRET_UNAVAILABLE, the key is not a Fernet key.
    """

    def __init__(self, key: str, *, files_dir: Path | None = None, trusted: HostPatterns = NO_HOSTS) -> None:
        try:
            self._fernet = Fernet(key)
        except (ValueError, binascii.Error, UnicodeEncodeError):
            # The cause may quote the key, so it is left out of the chain.
            raise FatalError(
                Reason.SECRET_UNAVAILABLE,
                "TECHAURA_SYNC_SECRET_KEY is no Fernet key: it must be 32 bytes in url-safe base64",
                category=Category.SYSTEM,
            ) from None
        self._digest_key = hmac.new(key.encode("ascii"), b"techaura-sync options digest", hashlib.sha256).digest()
        self._files_dir = files_dir
        self._trusted = trusted

    def seal(self, document: Mapping[str, Any], places: SecretPlaces) -> dict[str, Any]:
        """A copy of the document in which each inline secret is {"encrypted": token}. References stay as they are."""
        sealed: dict[str, Any] = json.loads(json.dumps(document))
        for path in places.values:
            parent_path, _, name = path.rpartition(".")
            parent = _descend(sealed, parent_path)
            if parent is not None and parent.get(name) is not None:
                parent[name] = self._seal_value(parent[name])
        for path in places.maps:
            entries = _descend(sealed, path)
            for name in entries or ():
                if name.lower() not in places.public_names and entries is not None and entries[name] is not None:
                    entries[name] = self._seal_value(entries[name])
        for path in places.trees:
            parent_path, _, name = path.rpartition(".")
            parent = _descend(sealed, parent_path)
            if parent is not None and isinstance(parent.get(name), dict):
                parent[name] = self._seal_tree(parent[name], "", places.means_secret)
        return sealed

    def seal_bytes(self, content: bytes) -> bytes:
        """Seal bytes, so that only a box with this key can open them."""
        return self._fernet.encrypt(content)

    def open_bytes(self, sealed: bytes) -> bytes | None:
        """The bytes that were sealed; None when another key sealed them."""
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken:
            return None

    def digest(self, document: Mapping[str, Any]) -> str:
        """A digest that does not reveal the document: HMAC-SHA256 in hex, the same on every replica.

        A value of None counts as missing.
        """
        text = json.dumps(_without_none(document), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hmac.new(self._digest_key, text.encode("ascii"), hashlib.sha256).hexdigest()

    def reveal(self, secret: SecretValue, url: str, environ: Mapping[str, str]) -> str:
        """The secret itself.

        Args:
            url: where it is sent.

        Raises:
            FatalError: SECRET_UNAVAILABLE (authentication): it may not be sent there, which is told whether it exists or not;
                the variable is not set, the file cannot be read, or the token was made with another key. The text names the
                place, never the value.
        """
        if secret.kind == "inline":
            return secret.text
        if secret.kind == "env":
            self._check_host(secret, f"{secret.text}{_ENV_HOSTS}", environ.get(f"{secret.text}{_ENV_HOSTS}"), url)
            if not ENV_NAME.fullmatch(secret.text) or not environ.get(secret.text):
                raise _unavailable(f"the variable {secret.text} is not set; set it for the service and retry the run")
            return environ[secret.text]
        if secret.kind == "file":
            listed = f"{secret.text}{_FILE_HOSTS}"
            self._check_host(secret, f"the file {listed}", self._hosts_of_file(listed), url)
            return self._read_file(secret.text)
        return self.open_text(secret.text)

    def open_text(self, token: str) -> str:
        """The text that was sealed.

        Raises:
            FatalError: SECRET_UNAVAILABLE, another key sealed it.
        """
        try:
            return self._fernet.decrypt(token.encode("ascii")).decode("utf-8")
        except (InvalidToken, UnicodeError) as error:
            raise _unavailable(
                "a stored secret cannot be decrypted: TECHAURA_SYNC_SECRET_KEY has changed since it was stored; "
                "restore the key, or trigger the sync again with the secret"
            ) from error

    def _check_host(self, secret: SecretValue, list_name: str, listed: str | None, url: str) -> None:
        host, port = host_and_port(url)
        # A list that is there and empty names nobody.
        hosts = self._trusted if listed is None else HostPatterns.parse(listed)
        if not hosts.match(host, port):
            raise _unavailable(
                f"{secret.origin} may not be sent to {host}: only the hosts in {list_name} get it, or without that those of "
                f"TECHAURA_SYNC_ALLOWED_HOSTS; set {list_name} for the service to {host} if it is meant for it"
            )

    def _hosts_of_file(self, name: str) -> str | None:
        """The list of hosts in a file of the secrets folder, separated by commas or lines; None without the file.

        Raises:
            FatalError: SECRET_UNAVAILABLE, it is there and cannot be read.
        """
        if self._files_dir is None or not os.path.lexists(self._files_dir / name):
            return None
        return self._read_file(name).replace("\n", ",")

    def _seal_tree(self, value: Any, name: str, means_secret: Callable[[str, object], bool]) -> Any:
        if reference_of(value) is not None:
            return value
        if isinstance(value, dict):
            return {key: self._seal_tree(item, key, means_secret) for key, item in value.items()}
        if isinstance(value, list):
            return [self._seal_tree(item, name, means_secret) for item in value]
        return self._seal_value(value) if isinstance(value, str) and means_secret(name, value) else value

    def _seal_value(self, value: object) -> dict[str, str]:
        try:
            reference = SecretValue.parse(value)
        except ValueError:
            reference = SecretValue("inline", json.dumps(value))
        if reference.kind != "inline":
            return {reference.kind: reference.text}
        return {"encrypted": self._fernet.encrypt(reference.text.encode("utf-8", "surrogatepass")).decode("ascii")}

    def _read_file(self, name: str) -> str:
        if self._files_dir is None:
            raise _unavailable(f"the secret file {name} cannot be read: set TECHAURA_SYNC_SECRETS_DIR to its folder")
        if not FILE_NAME.fullmatch(name):
            raise _unavailable("a secret file must be named without a path")
        path = self._files_dir / name
        try:
            # Kubernetes and Docker mount secrets as links that stay inside their folder; any other link is refused.
            if not path.resolve().is_relative_to(self._files_dir.resolve()) or not path.is_file():
                raise _unavailable(f"the secret file {name} is no regular file in the secrets folder")
            with path.open("rb") as stream:
                content = stream.read(SECRET_BYTES_MAX + 1)
        except OSError as error:
            raise _unavailable(f"the secret file {name} cannot be read ({error.strerror})") from error
        if len(content) > SECRET_BYTES_MAX:
            raise _unavailable(f"the secret file {name} is longer than {SECRET_BYTES_MAX} bytes")
        try:
            return content.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            # The cause quotes the bytes, so it is left out of the chain.
            raise _unavailable(f"the secret file {name} is not UTF-8 text") from None


def load_or_create_key(path: Path) -> str:
    """The key in a file, made on the first call with mode 0600.

    The file appears with its whole content at once (written under another name, then linked), so two processes that
    start together agree on one key and neither ever reads half of it.

    Raises:
        FatalError: SECRET_UNAVAILABLE (system): others may read the file, it is no regular file, or it cannot be made.
    """
    try:
        if not path.exists() and not path.is_symlink():
            _create_key(path)
        return _read_key(path)
    except OSError as error:
        raise FatalError(
            Reason.SECRET_UNAVAILABLE,
            f"the key file {path} cannot be used ({error.strerror}); set TECHAURA_SYNC_SECRET_KEY instead",
            category=Category.SYSTEM,
        ) from error


def _create_key(path: Path) -> None:
    """Create the file, unless another process was faster."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(Fernet.generate_key())
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink(missing_ok=True)


def _read_key(path: Path) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            problem = "is no regular file"
        elif status.st_mode & 0o077:
            problem = "can be read by others; run chmod 600 on it, and change the key if it may have been read"
        else:
            return stream.read(1024).decode("ascii", "replace").strip()
    raise FatalError(Reason.SECRET_UNAVAILABLE, f"the key file {path} {problem}", category=Category.SYSTEM)


def reference_of(value: object) -> SecretValue | None:
    """What stands for a secret among other data: an object with only env, file or encrypted; None for anything else."""
    if not isinstance(value, Mapping):
        return None
    try:
        return SecretValue.parse(value)
    except ValueError:
        return None


def _descend(document: dict[str, Any], path: str) -> dict[str, Any] | None:
    """The object at a dot path (empty: the document), or None."""
    place: Any = document
    for name in path.split(".") if path else ():
        place = place.get(name) if isinstance(place, dict) else None
    return place if isinstance(place, dict) else None


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value


def _looks_sealed(text: str) -> bool:
    try:
        content = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return False
    return len(content) >= _FERNET_BYTES_MIN and content[0] == _FERNET_VERSION and (len(content) - 57) % 16 == 0


def _unavailable(message: str) -> FatalError:
    return FatalError(Reason.SECRET_UNAVAILABLE, message, category=Category.AUTHENTICATION)

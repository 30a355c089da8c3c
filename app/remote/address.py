"""Where the service is, and how it is spoken to: never in the clear beyond this machine."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path

import httpx2

from app.kit.hosts import is_loopback
from planner.errors import HeadroomError

TOKEN_VARIABLE = "HEADROOM_API_KEY"
_TIMEOUT = httpx2.Timeout(10.0)


class WrongAddress(HeadroomError):
    """The service cannot be spoken to as asked."""

    type = "wrong-address"
    title = "The service cannot be spoken to like this"


@dataclass(frozen=True)
class Address:
    """A service, and where the token for it is.

    Attributes:
        token_file: holds the token; default: the environment does. No option does: command lines
            are seen by everyone on a machine.
        ca_file: certificates (PEM) to trust instead of the system's.
        allow_http: whether the token may cross a network in the clear.
    """

    url: str
    token_file: Path | None = None
    ca_file: Path | None = None
    allow_http: bool = False

    def __post_init__(self) -> None:
        """Refuse what would give the token away, or cannot work.

        Raises:
            WrongAddress: says what and the remedy.
        """
        try:
            url = httpx2.URL(self.url)
        except httpx2.InvalidURL as error:
            raise WrongAddress(f"--server: {error}") from None
        if url.scheme not in ("http", "https") or not url.host:
            raise WrongAddress("--server: write it as https://host or https://host:port")
        if url.userinfo or url.query or url.fragment:
            raise WrongAddress("--server: leave out user, password, query and fragment")
        if url.scheme == "http" and not (self.allow_http or is_loopback(url.host)):
            raise WrongAddress(
                f"--server: http:// would send the token in the clear to {url.host}; use https://,"
                " or --allow-http where the network itself is encrypted"
            )
        self._token()

    def options(self) -> list[str]:
        """The address as options of `python -m app.remote`."""
        options = ["--server", self.url]
        for name, file in (("--token-file", self.token_file), ("--ca-file", self.ca_file)):
            if file is not None:
                options += [name, str(file.absolute())]
        return [*options, *(["--allow-http"] if self.allow_http else [])]

    def client(self) -> httpx2.AsyncClient:
        """Connections to the service. Redirections are not followed: the token is for it only.

        Raises:
            WrongAddress: a file cannot be used.
        """
        try:
            trusted = ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise WrongAddress(f"--ca-file {self.ca_file}: {error}") from None
        token = self._token()
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx2.AsyncClient(
            base_url=self.url.rstrip("/"), headers=headers, verify=trusted, timeout=_TIMEOUT
        )

    def _token(self) -> str | None:
        if self.token_file is None:
            source, token = TOKEN_VARIABLE, os.environ.get(TOKEN_VARIABLE, "").strip() or None
        else:
            source = f"--token-file {self.token_file}"
            try:
                token = self.token_file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise WrongAddress(f"{source}: {error}") from None
            if not token:
                raise WrongAddress(f"{source} is empty")
        if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
            raise WrongAddress(f"{source} holds something that is no key")
        return token

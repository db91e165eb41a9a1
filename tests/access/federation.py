"""A real main server and a real device where people have to log in, over TLS if wanted."""

import ssl
from collections.abc import Mapping
from pathlib import Path

import httpx

from tests.federation import TASKS, Federation
from tests.server import Server

from .conftest import ADMIN, VIEWER


class GuardedFederation(Federation):
    """A main server with two workers, and one device; the tests call as the operator.

    Args:
        certificates: a folder as ``fedbell certificates`` writes it; None: plain HTTP.
        mutual: whether both ask for certificates of their clients.
    """

    def __init__(
        self, directory: Path, certificates: Path | None = None, mutual: bool = False
    ) -> None:
        super().__init__(directory, TASKS, devices=["device1"])
        self.write_pictures()
        self.certificates, self.mutual = certificates, mutual
        for server in self.servers:
            server.environment |= {"ADMIN_TOKEN": ADMIN, "VIEWER_TOKEN": VIEWER}
            server.environment |= self._tls(server.name)
            if certificates:
                server.url = server.url.replace("http://", "https://")
        for device in self.devices.values():
            device.environment["MAIN_SERVER_URL"] = self.main.url
        for server in self.servers:
            self.call_as(server, {"Authorization": f"Bearer {ADMIN}"})

    def call_as(self, server: Server, headers: Mapping[str, str]) -> None:
        """Call ``server`` with these headers from now on, with the main server's certificate."""
        server.http.close()
        server.http = self.client(server, "main_server" if self.mutual else None)
        server.http.headers.update(headers)

    def client(
        self, server: Server, name: str | None, certificates: Path | None = None
    ) -> httpx.Client:
        """Calls ``server``; over TLS it shows the certificate ``name`` of a folder."""
        verify: ssl.SSLContext | bool = True
        if self.certificates:
            verify = ssl.create_default_context(cafile=self.certificates / "authority.pem")
            if name:
                folder = certificates or self.certificates
                verify.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
        return httpx.Client(
            base_url=server.url,
            timeout=60,
            trust_env=False,
            verify=verify,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def _tls(self, name: str) -> dict[str, str]:
        if self.certificates is None:
            return {}
        authority = str(self.certificates / "authority.pem")
        own = [str(self.certificates / f"{name}.{end}") for end in ("pem", "key")]
        told = dict(zip(("TLS_CERTIFICATE", "TLS_KEY"), own, strict=True))
        told["MAIN_SERVER_AUTHORITY" if name != "main_server" else "DEVICE_AUTHORITY"] = authority
        if self.mutual:
            told["TLS_CLIENT_AUTHORITY"] = authority
            shown = ("TLS_CLIENT_CERTIFICATE", "TLS_CLIENT_KEY")
            told |= dict(zip(shown, own, strict=True))
        return told

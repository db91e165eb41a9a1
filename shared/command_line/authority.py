"""A certificate authority for development: X.509 (RFC 5280), keys on the curve P-256.

Each certificate is good for both ends of a connection: servers show it to their clients, and
clients to servers that ask for one.
"""

import datetime
import ipaddress
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shared.errors import ConfigurationError
from shared.federated.weights import write_durably

_AUTHORITY_DAYS = 365
_ALWAYS = ("localhost", "127.0.0.1", "::1")
#: Clocks of other machines may be late by this.
_LATE = datetime.timedelta(minutes=5)
_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


class Authority:
    """Signs certificates.

    Args:
        certificate: its own.
        key: what it signs with.
    """

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def open(cls, directory: Path) -> Self:
        """The authority in a folder, made when there is none or it has expired.

        Raises:
            ConfigurationError: its files cannot be read, or one is missing.
        """
        certificate_file, key_file = directory / "authority.pem", directory / "authority.key"
        there = [file.exists() for file in (certificate_file, key_file)]
        if any(there) and not all(there):
            missing = key_file if there[0] else certificate_file
            raise ConfigurationError(f"{missing} is missing; delete the other one to begin anew.")
        if all(there):
            try:
                certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
                key = serialization.load_pem_private_key(key_file.read_bytes(), None)
            except (OSError, ValueError, TypeError) as error:
                raise ConfigurationError(f"The authority in {directory}: {error}.") from error
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise ConfigurationError(f"{key_file} is no key that this command made.")
            if certificate.not_valid_after_utc > _now():
                return cls(certificate, key)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _make_authority(key)
        _write(key_file, certificate_file, key, certificate)
        return cls(certificate, key)

    def issue(
        self, directory: Path, name: str, hosts: Iterable[str], days: int
    ) -> tuple[Path, Path]:
        """A new certificate and key, written as ``name``.pem and ``name``.key.

        Args:
            name: whose it is.
            hosts: names and IP addresses it is reached at, besides this machine's own.
            days: how long it counts, at the most as long as the authority's own.

        Raises:
            ConfigurationError: a name that no file, or no host, can have.
        """
        if not _NAME.fullmatch(name) or name == "authority":
            raise ConfigurationError(f"{name!r} is no name for a certificate.")
        key = ec.generate_private_key(ec.SECP256R1())
        end = min(_now() + datetime.timedelta(days=days), self._certificate.not_valid_after_utc)
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        own_key = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        certificate = (
            _begin(name, self._certificate.subject, key, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(_alternatives(hosts), critical=False)
            .add_extension(own_key, critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        files = directory / f"{name}.pem", directory / f"{name}.key"
        _write(files[1], files[0], key, certificate)
        return files


def _make_authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = "Fedbell development authority"
    end = _now() + datetime.timedelta(days=_AUTHORITY_DAYS)
    own_key = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        _begin(name, _distinguished(name), key, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(own_key, critical=False)
        .sign(key, hashes.SHA256())
    )


def _begin(
    name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, end: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_distinguished(name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - _LATE)
        .not_valid_after(end)
    )


def _distinguished(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternatives(hosts: Iterable[str]) -> x509.SubjectAlternativeName:
    names: list[x509.GeneralName] = []
    for host in dict.fromkeys((*_ALWAYS, *hosts)):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            try:
                names.append(x509.DNSName(host))
            except ValueError as error:
                raise ConfigurationError(f"{host!r} is no host name: {error}.") from error
    return x509.SubjectAlternativeName(names)


def _write(
    key_file: Path,
    certificate_file: Path,
    key: ec.EllipticCurvePrivateKey,
    certificate: x509.Certificate,
) -> None:
    """The key first, readable by its owner alone, then what everybody may see."""
    pem = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8
    # Temporary files have mode 0600.
    write_durably(key_file, key.private_bytes(pem, form, serialization.NoEncryption()))
    write_durably(certificate_file, certificate.public_bytes(pem))
    certificate_file.chmod(0o644)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)

"""The job before the broker: its authority, its certificate, its password, and what makes it ask who comes.

`python -m deploy.containers.keys`, as the broker's user and in a group with the job that lays it out. May run again:
what is there stays, but the certificate is made anew when it has less than a month left, or lacks a name.
"""

import datetime
import ipaddress
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from contracts.broker_users import BROKER
from deploy.local.secured import security_lines

FOLDER = Path("/run/leap/broker")
MOUNTED = Path("/mnt/shared/config")
"""Where the broker's own container has the folder."""

CA, CA_KEY, KEYSTORE, SERVER = "ca.pem", "ca-key.pem", "keystore.pem", "server.properties"
_CA_DAYS, _BROKER_DAYS, _LEFT_DAYS = 3650, 397, 30
_OWN, _GROUP = 0o600, 0o640


def main() -> None:
    """Make what is missing for the names by which the broker is reached: `kafka`, and outside KAFKA_OUTSIDE_NAME."""
    names = ["kafka", "localhost", "127.0.0.1", os.environ.get("KAFKA_OUTSIDE_NAME", "localhost")]
    make(FOLDER, names=list(dict.fromkeys(names)), seen_at=MOUNTED)
    print(f"the broker's keys are there, for {', '.join(dict.fromkeys(names))}")


def make(folder: Path, *, names: Iterable[str], seen_at: Path) -> None:
    """Make authority, certificate, password and settings in the folder, which the broker sees at `seen_at`."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / BROKER).exists():
        _write(folder / BROKER, secrets.token_urlsafe(32).encode(), _GROUP)
    if not (folder / CA).exists():
        key = ec.generate_private_key(ec.SECP256R1())
        _write(folder / CA_KEY, _pem(key), _OWN)
        _write(folder / CA, _authority(key).public_bytes(serialization.Encoding.PEM), _GROUP)
    wanted = set(names)
    if not _still_good(folder / KEYSTORE, wanted):
        _write(folder / KEYSTORE, _certified(folder, wanted), _OWN)
    settings = security_lines(
        password=(folder / BROKER).read_text(encoding="utf-8").strip(),
        inside="INSIDE",
        outside=("OUTSIDE",),
        protocol="SASL_SSL",
        keystore=seen_at / KEYSTORE,
    )
    _write(folder / SERVER, settings.encode(), _OWN)


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "LEAP broker authority")])
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return (
        _begun(name, name, key.public_key(), _CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _certified(folder: Path, names: set[str]) -> bytes:
    authority = x509.load_pem_x509_certificate((folder / CA).read_bytes())
    signing = serialization.load_pem_private_key((folder / CA_KEY).read_bytes(), password=None)
    assert isinstance(signing, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kafka")])
    usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    certificate = (
        _begun(subject, authority.subject, key.public_key(), _BROKER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usages, critical=False)
        .add_extension(x509.SubjectAlternativeName([_named(name) for name in sorted(names)]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
        .sign(signing, hashes.SHA256())
    )
    chain = certificate.public_bytes(serialization.Encoding.PEM) + (folder / CA).read_bytes()
    return _pem(key) + chain


def _begun(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _still_good(keystore: Path, names: set[str]) -> bool:
    if not keystore.exists():
        return False
    certificate = x509.load_pem_x509_certificates(keystore.read_bytes())[0]
    known = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    named = {*known.get_values_for_type(x509.DNSName), *map(str, known.get_values_for_type(x509.IPAddress))}
    left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return names <= named and left > datetime.timedelta(days=_LEFT_DAYS)


def _named(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(file: Path, content: bytes, mode: int) -> None:
    arriving = file.with_suffix(".new")
    with os.fdopen(os.open(arriving, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as opened:
        os.fchmod(opened.fileno(), mode)
        opened.write(content)
    arriving.rename(file)


if __name__ == "__main__":
    main()

"""How a client signs in: what is asked for, what is refused, and that nobody goes around it."""

import ast
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from faststream.security import SASLScram512

from deploy.containers.keys import make
from deploy.local.machine import checkout
from deploy.local.services import kafka_environment
from services.runtime.broker_access import Access, AccessRefused, client_options, secret_in
from services.runtime.delivery.membership import frame_options
from services.runtime.settings import Settings, SettingsRejected

TOLD = {"LEAP_KAFKA_BOOTSTRAP_SERVERS": "a:1,b:2", "LEAP_DATABASE_URL": "postgresql://"}


@pytest.fixture
def signed_in(tmp_path: Path) -> Access:
    make(tmp_path, names=["localhost"], seen_at=tmp_path)
    password = tmp_path / "password"
    password.touch(mode=0o600)
    password.write_text("secret\n")
    return Access(
        bootstrap_servers="a:1,b:2",
        protocol="SASL_SSL",
        user="flagging",
        password_file=password,
        ca_file=tmp_path / "ca.pem",
        certificate_file=tmp_path / "keystore.pem",
    )


def test_an_address_alone_is_a_broker_that_asks_nobody() -> None:
    assert client_options("a:1") == {"bootstrap_servers": "a:1", "security_protocol": "PLAINTEXT"}
    assert Settings.from_environment(TOLD).kafka == Access(bootstrap_servers="a:1,b:2")


def test_every_client_is_given_the_same(signed_in: Access) -> None:
    options = client_options(signed_in)
    context = options.pop("ssl_context")
    assert isinstance(context, ssl.SSLContext)
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert options == {
        "bootstrap_servers": "a:1,b:2",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "flagging",
        "sasl_plain_password": "secret",
    }
    framed = frame_options(signed_in)
    assert framed["bootstrap_servers"] == ["a:1", "b:2"]
    assert isinstance(framed["security"], SASLScram512)
    assert (framed["security"].username, framed["security"].password) == ("flagging", "secret")
    assert framed["security"].use_ssl


def test_what_a_process_is_told_names_files_and_holds_no_secret(signed_in: Access) -> None:
    told = kafka_environment(signed_in)
    assert "secret" not in str(told)
    assert Settings.from_environment({**told, "LEAP_DATABASE_URL": "postgresql://"}).kafka == signed_in


@pytest.mark.parametrize(("mode", "refused"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)])
def test_a_password_that_others_may_read_is_refused(tmp_path: Path, mode: int, refused: bool) -> None:
    file = tmp_path / "password"
    file.write_text("secret")
    file.chmod(mode)
    if not refused:
        assert secret_in(file) == "secret"
        return
    with pytest.raises(AccessRefused, match="chmod 600") as told:
        secret_in(file)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"SECURITY_PROTOCOL": "SASL_SSL"}, "KAFKA_USER and KAFKA_PASSWORD_FILE"),
        ({"SECURITY_PROTOCOL": "SASL_SSL", "USER": "flagging"}, "KAFKA_USER and KAFKA_PASSWORD_FILE"),
        ({"SECURITY_PROTOCOL": "SASL_PLAINTEXT", "USER": "f", "PASSWORD_FILE": "/nowhere"}, "/nowhere can't be read"),
        ({"SECURITY_PROTOCOL": "SSL", "CA_FILE": "/nowhere"}, "certificates"),
        ({"SECURITY_PROTOCOL": "TLS"}, "LEAP_KAFKA_SECURITY_PROTOCOL"),
        ({"PASSWORD": "secret"}, "nobody reads this variable"),
    ],
)
def test_settings_that_can_not_sign_in_are_refused_at_the_start(variables: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsRejected, match=told):
        Settings.from_environment(TOLD | {f"LEAP_KAFKA_{name}": value for name, value in variables.items()})


def clients_of_their_own(source: str) -> Iterator[int]:
    """Give the line of every client of Kafka that is not made from `client_options` or `frame_options`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CLIENTS:
            starred = [each.value for each in node.keywords if each.arg is None]
            makers = {
                each.func.id for each in starred if isinstance(each, ast.Call) and isinstance(each.func, ast.Name)
            }
            if not makers & {"client_options", "frame_options"}:
                yield node.lineno


_CLIENTS = ("AIOKafkaConsumer", "AIOKafkaProducer", "AIOKafkaAdminClient", "AIOKafkaClient", "KafkaBroker")


def test_no_client_goes_around_it() -> None:
    files = [file for folder in ("services", "deploy") for file in (checkout() / folder).rglob("*.py")]
    found = [f"{file}:{line}" for file in files for line in clients_of_their_own(file.read_text())]
    assert found == []


def test_a_client_that_goes_around_it_is_found() -> None:
    assert list(clients_of_their_own("AIOKafkaConsumer('t', bootstrap_servers=address)")) == [1]
    assert list(clients_of_their_own("AIOKafkaConsumer('t', **client_options(address), group_id=None)")) == []

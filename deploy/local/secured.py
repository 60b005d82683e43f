"""What makes a broker ask who comes and deny what no rule allows: lines of its `server.properties`."""

from collections.abc import Sequence
from pathlib import Path

from contracts.broker_users import BROKER

_PLAIN, _SCRAM = "plain", "scram-sha-512"
_SCRAM_LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


def security_lines(
    *,
    password: str,
    inside: str = "CLIENTS",
    outside: Sequence[str] = (),
    controller: str = "CONTROLLER",
    protocol: str = "SASL_PLAINTEXT",
    keystore: Path | None = None,
) -> str:
    """Give the lines, with the broker's own password in them: the file is for nobody else, mode 0600.

    `inside` is the listener by which brokers know each other and may lay out users, beside everybody's SCRAM; on the
    `outside` ones there is SCRAM alone. `keystore` is the broker's key and certificates as PEM, for SASL_SSL.
    The controllers' listener is never encrypted: it has to be on the machine's own address, or on a network of its own.
    """
    plain = (
        "org.apache.kafka.common.security.plain.PlainLoginModule required "
        f'username="{BROKER}" password="{password}" user_{BROKER}="{password}";'
    )
    protocols = [f"{name}:{protocol}" for name in (inside, *outside)] + [f"{controller}:SASL_PLAINTEXT"]
    lines = [
        f"listener.security.protocol.map={','.join(protocols)}",
        f"inter.broker.listener.name={inside}",
        f"controller.listener.names={controller}",
        # Not SCRAM: its users are in what the controllers must agree on first.
        "sasl.mechanism.inter.broker.protocol=PLAIN",
        "sasl.mechanism.controller.protocol=PLAIN",
        f"listener.name.{controller.lower()}.sasl.enabled.mechanisms=PLAIN",
        f"listener.name.{controller.lower()}.{_PLAIN}.sasl.jaas.config={plain}",
        f"listener.name.{inside.lower()}.sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN",
        f"listener.name.{inside.lower()}.{_PLAIN}.sasl.jaas.config={plain}",
        f"listener.name.{inside.lower()}.{_SCRAM}.sasl.jaas.config={_SCRAM_LOGIN}",
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found=false",
        f"super.users=User:{BROKER}",
    ]
    for name in outside:
        lines += [
            f"listener.name.{name.lower()}.sasl.enabled.mechanisms=SCRAM-SHA-512",
            f"listener.name.{name.lower()}.{_SCRAM}.sasl.jaas.config={_SCRAM_LOGIN}",
        ]
    if keystore is not None:
        lines += ["ssl.keystore.type=PEM", f"ssl.keystore.location={keystore}"]
        # Between brokers the same certificate is shown and checked.
        lines += ["ssl.truststore.type=PEM", f"ssl.truststore.location={keystore.with_name('ca.pem')}"]
    return "\n".join(lines) + "\n"


OPEN = """\
listener.security.protocol.map=CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=CLIENTS
controller.listener.names=CONTROLLER
"""
"""A broker that asks nobody: for tests of what has nothing to do with it, and for measuring beside others' clients."""

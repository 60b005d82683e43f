"""One broker or three, each with a second listener that leads through a proxy: the services know no other way."""

import os
import shutil
import subprocess
from pathlib import Path

from contracts.broker_users import BROKER
from deploy.local import PartFailed, Process, free_port
from deploy.local.broker import java, kafka_jars
from deploy.local.doors import Passwords
from deploy.local.machine import write_whole
from deploy.local.secured import security_lines
from services.runtime.broker_access import secret_in
from tests.faults.proxy import Proxy

_SETTINGS = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=DIRECT://127.0.0.1:{direct},PROXIED://127.0.0.1:{behind},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=DIRECT://127.0.0.1:{direct},PROXIED://127.0.0.1:{proxied}
log.dirs=records
auto.create.topics.enable=false
default.replication.factor={copies}
min.insync.replicas={in_sync}
offsets.topic.num.partitions=4
offsets.topic.replication.factor={copies}
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={in_sync}
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=2097152
log.segment.bytes=67108864
log.index.size.max.bytes=1048576
"""
_LOGGING = """\
<Configuration status="ERROR">
  <Appenders><Console name="out"><PatternLayout pattern="%d{ISO8601} %p %c{1}: %m%n"/></Console></Appenders>
  <Loggers><Root level="ERROR"><AppenderRef ref="out"/></Root>
    <Logger name="kafka.server.KafkaRaftServer" level="INFO"/>
    <Logger name="kafka.log.LogManager" level="INFO"/></Loggers>
</Configuration>
"""
_LETTERS = {"LC_ALL": "C.UTF-8"}


class Cluster:
    """The brokers as one part with an address: `kill` and `stop` are for all of them, `brokers` for each."""

    def __init__(self, folder: Path, count: int, passwords: Path) -> None:
        """Lay out each broker's folder where it isn't yet, with new ports."""
        self.brokers: list[Process] = []
        self.proxies: list[Proxy] = []
        ports = [{name: free_port() for name in ("direct", "behind", "proxied", "controller")} for _ in range(count)]
        voters = ",".join(f"{node}@127.0.0.1:{port['controller']}" for node, port in enumerate(ports, start=1))
        identity = folder / "cluster-id"
        password = secret_in(Passwords(passwords).file_of(BROKER))
        for node, port in enumerate(ports, start=1):
            place = folder / f"broker-{node}"
            place.mkdir(parents=True, exist_ok=True)
            settings = _SETTINGS.format(
                node=node, voters=voters, copies=count, in_sync=2 if count > 2 else 1, **port
            )  # fmt: skip
            settings += security_lines(password=password, inside="DIRECT", outside=("PROXIED",))
            write_whole(place / "server.properties", settings)
            (place / "log4j2.xml").write_text(_LOGGING)
            command = _java(place)
            if not identity.exists():
                identity.write_text(_run([*command, "kafka.tools.StorageTool", "random-uuid"], place).strip())
            if not (place / "records" / "meta.properties").exists():
                words = ("kafka.tools.StorageTool", "format", "-t", identity.read_text(), "-c", "server.properties")
                _run([*command, *words], place)
            self.brokers.append(
                Process(
                    name=f"Kafka {node}", address=f"127.0.0.1:{port['direct']}",
                    command=[*command, "kafka.Kafka", "server.properties"], environment=_LETTERS,
                    log=place / "kafka.log", folder=place, ready_line="Kafka Server started",
                )
            )  # fmt: skip
            self.proxies.append(Proxy(port["proxied"], port["behind"]))

    @property
    def address(self) -> str:
        """Give the way in for whoever is no service."""
        return ",".join(each.address for each in self.brokers)

    @property
    def for_services(self) -> str:
        """Give the way in by the proxies."""
        return ",".join(f"127.0.0.1:{each.port}" for each in self.proxies)

    @property
    def pid(self) -> int | None:
        """Give the first broker's process."""
        return self.brokers[0].pid

    def start(self) -> None:
        """Start those that don't run, together: a quorum is needed before any of them is ready."""
        starting = [each for each in self.brokers if not each.is_running()]
        for each in starting:
            each.launch()
        for each in starting:
            each.wait_ready()

    def stop(self) -> None:
        """Stop all of them."""
        for each in self.brokers:
            each.stop()

    def kill(self) -> None:
        """End all of them as a power cut would."""
        for each in self.brokers:
            each.kill()

    def is_running(self) -> bool:
        """Tell whether all of them live."""
        return all(each.is_running() for each in self.brokers)

    def describe(self) -> dict[str, object]:
        """Give the processes, to be found again."""
        return {"kind": "brokers", "brokers": [each.describe() for each in self.brokers]}


def _java(place: Path) -> list[str]:
    return [
        java(), "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData",
        f"-Djava.io.tmpdir={place}", "-Dlog4j2.configurationFile=log4j2.xml", "-cp", f"{kafka_jars()}/*",
    ]  # fmt: skip


def _run(command: list[str], place: Path) -> str:
    finished = subprocess.run(
        command, cwd=place, env=os.environ | _LETTERS, capture_output=True, text=True, check=False
    )
    if finished.returncode:
        shutil.rmtree(place / "records", ignore_errors=True)
        raise PartFailed(f"Kafka could not lay out {place}:\n{(finished.stderr or finished.stdout)[-1000:]}")
    return finished.stdout

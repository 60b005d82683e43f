"""A broker for one machine: one that is given, a container, or Apache Kafka on the machine's own Java."""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

from contracts.broker_users import BROKER
from deploy.local.containers import daemon_answers, start_kafka_container
from deploy.local.doors import Door, Passwords, given_door, open_door, own_door
from deploy.local.machine import apt_install, checkout, write_whole
from deploy.local.parts import Given, Part, PartFailed, PartMissing, Process, free_port
from deploy.local.secured import OPEN, security_lines
from deploy.supply.jars import JarsDiffer, verify
from services.runtime.broker_access import secret_in

POM = Path(__file__).parent / "kafka" / "pom.xml"
JAVA_VERSION = 17
WAYS_OUT = (
    "Install Java 17 or later and Maven (Debian and Ubuntu: openjdk-17-jre-headless, maven), "
    "or start a Docker daemon, or set KAFKA_BOOTSTRAP_SERVERS to a broker that runs elsewhere."
)

# By name, in the folder that Kafka runs in: it splits paths at commas, and reads its settings as Latin-1.
CONFIGURATION, LOGGING, LOG, RECORDS, USERS = "server.properties", "log4j2.xml", "kafka.log", "records", "users"

PRIVATE = 0o077
"""The umask of what nobody else on this machine may read."""

# Java 17 reads its arguments in the locale's letters: in a bare one a folder named `née` is not found.
_LETTERS = {"LC_ALL": "C.UTF-8"}

_CONFIGURATION = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=CLIENTS://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=CLIENTS://127.0.0.1:{port}
log.dirs={records}
auto.create.topics.enable=false
num.partitions=24
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=2097152
log.segment.bytes=67108864
log.index.size.max.bytes=1048576
"""

# The manager of the logs says how far it has read them: after a crash that takes a while, and `leap up` waits as long.
_LOGGING = """\
<Configuration status="ERROR">
  <Appenders><Console name="out"><PatternLayout pattern="%d{ISO8601} %p %c{1}: %m%n"/></Console></Appenders>
  <Loggers><Root level="WARN"><AppenderRef ref="out"/></Root>
    <Logger name="kafka.server.KafkaRaftServer" level="INFO"/>
    <Logger name="kafka.log.LogManager" level="INFO"/></Loggers>
</Configuration>
"""


def start_broker(folder: Path, *, secure: bool = True, passwords: Path | None = None, quick_start: bool = True) -> Part:
    """Give a broker that answers: KAFKA_BOOTSTRAP_SERVERS, else a container, else Kafka in this folder.

    It lets in who has a password in the folder `passwords` (else `users` in its own), once `lay_out` has told it; not
    `secure` is for tests of what has nothing to do with it. `quick_start` leaves the second compiler off: ready sooner,
    slower under load. Raises PartMissing where none can be had.
    """
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if given:
        return Given(given)

    known = (passwords or folder / USERS) if secure else None
    if daemon_answers():
        return start_kafka_container(_security(known))
    return start_kafka(folder, passwords=known, quick_start=quick_start)


def door_of(part: Part, passwords: Path | None) -> Door:
    """Describe the way into what `start_broker` gave, with the same folder; None: into one that asks nobody."""
    if isinstance(part, Given):
        return given_door(part.address, passwords or Path(USERS))
    return open_door(part.address) if passwords is None else own_door(part.address, passwords)


def kafka_jars() -> Path:
    """Give the folder of Kafka's jars, and on the first call fill it by Maven."""
    jars = checkout() / ".leap" / "kafka"
    if jars.exists():
        return jars
    maven = _require("mvn", "maven")
    arriving = jars.with_name(f"kafka.{os.getpid()}")
    jars.parent.mkdir(exist_ok=True)
    finished = subprocess.run(
        [maven, "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={arriving}"],
        env={**os.environ, **_LETTERS, "MAVEN_OPTS": "-XX:-UsePerfData"},
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        shutil.rmtree(arriving, ignore_errors=True)
        raise PartMissing(f"Maven could not fetch Kafka's jars:\n{finished.stdout[-2000:]}\n{WAYS_OUT}")
    try:
        verify(arriving)
    except JarsDiffer as differs:
        shutil.rmtree(arriving, ignore_errors=True)
        raise PartFailed(f"Kafka was not started: {differs}") from None
    try:
        # Whoever comes second finds the folder there: never a half-filled one.
        arriving.rename(jars)
    except OSError:
        shutil.rmtree(arriving)
    return jars


def java() -> str:
    """Give the path of a Java that is new enough, installed on the way where that is allowed."""
    found = installed_java()
    if found is None:
        apt_install(["openjdk-17-jre-headless"], otherwise=f"No Java {JAVA_VERSION} or later. {WAYS_OUT}")
        found = installed_java()
    if found is None:
        raise PartMissing(f"No Java {JAVA_VERSION} or later. {WAYS_OUT}")
    return found


def start_kafka(folder: Path, *, passwords: Path | None, quick_start: bool = True) -> Process:
    """Start Apache Kafka on this machine's Java, on what is in this folder, and wait until it is ready.

    Nobody else on this machine may read its files. A folder of a release that let everybody in goes on as it is, with
    its records: only who asks for them is asked who they are from now on.
    """
    virtual_machine, classpath, folder = java(), f"{kafka_jars()}/*", folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    _close(folder)
    port = free_port()
    settings = _CONFIGURATION.format(port=port, controller_port=free_port(), records=RECORDS)
    settings += _security(passwords)
    write_whole(folder / CONFIGURATION, settings)
    write_whole(folder / LOGGING, _LOGGING)
    (folder / LOG).touch(mode=0o600)
    command = [
        virtual_machine,
        "-Xmx384m",
        "-XX:+UseSerialGC",
        *(["-XX:TieredStopAtLevel=1"] if quick_start else []),
        "-XX:-UsePerfData",  # or it leaves a file in /tmp
        f"-Djava.io.tmpdir={folder}",
        f"-Dlog4j2.configurationFile={LOGGING}",
        "-cp",
        classpath,
    ]
    if not (folder / RECORDS / "meta.properties").exists():
        _format([*command, "kafka.tools.StorageTool"], folder)

    part = Process(
        name="Kafka",
        address=f"127.0.0.1:{port}",
        command=[*command, "kafka.Kafka", CONFIGURATION],
        environment=_LETTERS,
        log=folder / LOG,
        folder=folder,
        ready_line="Kafka Server started",
        umask=PRIVATE,
    )
    part.start()
    return part


def _security(passwords: Path | None) -> str:
    return OPEN if passwords is None else security_lines(password=secret_in(Passwords(passwords).file_of(BROKER)))


def _close(folder: Path) -> None:
    """Take from everybody else what a release of before, or a laxer umask, let them read."""
    for path in (folder, *folder.rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        if mode & 0o077 and not path.is_symlink():
            path.chmod(mode & 0o700)


def _format(storage_tool: list[str], folder: Path) -> None:
    cluster = _run([*storage_tool, "random-uuid"], folder).strip()
    _run([*storage_tool, "format", "-t", cluster, "-c", CONFIGURATION], folder)


def _run(command: list[str], folder: Path) -> str:
    finished = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | _LETTERS,
        capture_output=True,
        text=True,
        check=False,
        umask=PRIVATE,
    )
    if finished.returncode:
        raise PartFailed(f"Kafka could not lay out {folder}:\n{(finished.stderr or finished.stdout)[-1000:]}")
    return finished.stdout


def _require(program: str, package: str) -> str:
    found = shutil.which(program)
    if found is None:
        apt_install([package], otherwise=f"{program} is not installed. {WAYS_OUT}")
        found = shutil.which(program)
    if found is None:
        raise PartMissing(f"{program} is not installed. {WAYS_OUT}")
    return found


def installed_java() -> str | None:
    """Give the path of the machine's Java where it is new enough, and install nothing."""
    home = os.environ.get("JAVA_HOME")
    for candidate in ([f"{home}/bin/java"] if home else []) + [shutil.which("java") or ""]:
        if not candidate or not Path(candidate).exists():
            continue
        said = subprocess.run([candidate, "-XX:-UsePerfData", "-version"], capture_output=True, text=True, check=False)
        version = re.search(r'version "(\d+)', said.stderr)
        if version and int(version[1]) >= JAVA_VERSION:
            return candidate
    return None

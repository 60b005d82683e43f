"""How each peer is had: its packages in an environment of its own, or its jars by Maven and its classes by javac."""

import hashlib
import os
import shutil
import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path

from deploy.local import PartMissing
from deploy.local.broker import java
from deploy.local.machine import apt_install

PEERS = Path(__file__).parent / "peers"
_SHARED_SOURCES = PEERS / "jvm"
_MAIN = {"kafka_streams": "leap.peers.KafkaStreamsPeer", "flink": "leap.peers.FlinkPeer"}
# Flink's own list for Java 17, as far as this job comes by it.
_OPENED = ("java.lang", "java.nio", "java.time", "java.util", "java.util.concurrent", "java.util.concurrent.atomic")


class PeerMissing(Exception):
    """The peer's packages can't be had here; it is left out of the comparison."""


def command_of(name: str, *, into: Path) -> list[str]:
    """Give the command that runs a peer, on the first call fetched and compiled into a folder of its own there.

    Raises PeerMissing where that fails; the message says why.
    """
    if name in _MAIN:
        return _java_command(name, into / name)
    return [str(_python_of(name, into / name)), str(PEERS / f"{name}.py")]


def _python_of(name: str, environment: Path) -> Path:
    python = environment / "bin" / "python"
    ready = environment / "ready"
    wanted = (PEERS / f"{name}.txt").read_text()
    if ready.exists() and ready.read_text() == wanted:
        return python
    venv.create(environment, with_pip=True, clear=True)
    _run(name, [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", PEERS / f"{name}.txt"])
    ready.write_text(wanted)
    return python


def _java_command(name: str, folder: Path) -> list[str]:
    _compile(name, folder)
    return [
        _program(name, "java"),
        "-Xmx1g",
        "-XX:+UseParallelGC",
        "-XX:-UsePerfData",  # or it leaves a file in /tmp
        "-Djava.io.tmpdir=.",  # RocksDB unpacks its library there
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
        *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED if name == "flink"),
        "-cp",
        f"{folder / 'classes'}:{folder / 'jars'}/*",
        _MAIN[name],
    ]


def _compile(name: str, folder: Path) -> None:
    """Fill the folder with the peer's jars and classes, again whenever its pom or a source has changed."""
    pom = PEERS / name / "pom.xml"
    sources = sorted([*_SHARED_SOURCES.glob("*.java"), *(PEERS / name).glob("*.java")])
    wanted = hashlib.sha256(b"\0".join(path.read_bytes() for path in [pom, *sources])).hexdigest()
    ready = folder / "ready"
    if ready.exists() and ready.read_text() == wanted:
        return
    shutil.rmtree(folder, ignore_errors=True)
    jars, classes = folder / "jars", folder / "classes"
    classes.mkdir(parents=True)
    maven, compiler = _program(name, "mvn"), _program(name, "javac")
    _run(name, [maven, "-q", "-B", "-f", pom, "dependency:copy-dependencies", f"-DoutputDirectory={jars}"])
    _run(name, [compiler, "-nowarn", "--release", "17", "-d", classes, "-cp", f"{jars}/*", *sources])
    ready.write_text(wanted)


def _program(name: str, program: str) -> str:
    try:
        if program == "java":
            return java()
        if shutil.which(program) is None:
            package = {"mvn": "maven", "javac": "openjdk-17-jdk-headless"}[program]
            apt_install([package], otherwise=f"{program} is not installed (Debian: {package})")
    except PartMissing as missing:
        raise PeerMissing(f"{name} can't be had here: {missing}") from None
    return shutil.which(program) or program


def _run(name: str, command: Sequence[str | Path]) -> None:
    quiet = {**os.environ, "MAVEN_OPTS": "-XX:-UsePerfData"}
    finished = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise PeerMissing(f"{name} can't be had here: {reason_in(finished.stdout + finished.stderr)}")


def reason_in(output: str) -> str:
    """Pick the line that says why an installation failed: the first error, else the last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["no reason given"]
    return next((line for line in lines if "error" in line.lower()), lines[-1])

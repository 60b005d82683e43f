"""A peer is had by the machine's own Maven and javac, made anew when it changed, or named and left out."""

from pathlib import Path

import pytest

from tests.bench.peer_setup import PEERS, PeerMissing, command_of, reason_in


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty folder that is all there is to find programs in."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return folder


def program(folder: Path, name: str, script: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\necho {name} >> {folder}/calls\n{script}\n")
    file.chmod(0o755)


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().split()


@pytest.mark.parametrize("peer", ["kafka_streams", "flink"])
def test_jars_are_fetched_and_compiled_once(tmp_path: Path, path: Path, peer: str) -> None:
    program(path, "mvn", "exit 0")
    program(path, "javac", "exit 0")
    program(path, "java", """echo 'openjdk version "17.0.15"' >&2""")

    command = command_of(peer, into=tmp_path)
    assert command_of(peer, into=tmp_path) == command

    assert [call for call in calls(path) if call != "java"] == ["mvn", "javac"]
    assert f"{tmp_path}/{peer}/classes:{tmp_path}/{peer}/jars/*" in command


def test_what_was_compiled_from_other_sources_is_made_anew(tmp_path: Path, path: Path) -> None:
    program(path, "mvn", "exit 0")
    program(path, "javac", "exit 0")
    program(path, "java", """echo 'openjdk version "17.0.15"' >&2""")
    command_of("flink", into=tmp_path)

    (tmp_path / "flink" / "ready").write_text("of another commit")
    command_of("flink", into=tmp_path)

    assert calls(path).count("javac") == 2


@pytest.mark.parametrize(
    ("programs", "told"),
    [
        ({}, "mvn is not installed"),
        ({"mvn": "exit 0"}, "javac is not installed"),
        ({"mvn": "echo '[ERROR] no such version'; exit 1", "javac": "exit 0"}, "no such version"),
        ({"mvn": "exit 0", "javac": "echo 'Peer.java:1: error: expected' >&2; exit 1"}, "error: expected"),
        ({"mvn": "exit 0", "javac": "exit 0"}, "No Java 17"),
    ],
)
def test_a_peer_that_cant_be_had_is_named_with_the_reason(
    tmp_path: Path, path: Path, programs: dict[str, str], told: str
) -> None:
    for name, script in programs.items():
        program(path, name, script)

    with pytest.raises(PeerMissing, match=f"kafka_streams can't be had here: .*{told}"):
        command_of("kafka_streams", into=tmp_path)


def test_the_first_error_is_the_reason_and_without_one_the_last_line() -> None:
    assert reason_in("[INFO] going\n[ERROR] no such version\n[ERROR] see the help\n") == "[ERROR] no such version"
    assert reason_in("one\ntwo\n\n") == "two"
    assert reason_in("") == "no reason given"


@pytest.mark.parametrize("pom", sorted(PEERS.glob("*/pom.xml")), ids=lambda pom: pom.parent.name)
def test_every_version_of_a_peer_is_pinned(pom: Path) -> None:
    text = pom.read_text()

    assert text.count("<artifactId>") == text.count("<version>")
    assert not [mark for mark in ("LATEST", "RELEASE", "SNAPSHOT", "<version>[", "<version>(") if mark in text]

"""What runs is pinned, listed and allowed; and each of these checks finds what it is for."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.supply import audit, digests, jars, licences
from deploy.supply.bill import bill_of
from deploy.supply.jars import Jar, JarsDiffer, digest_of, locked, verify, write
from deploy.supply.parts import Part, everything

GOOD = Part("pypi", "", "good", "1", "MIT", ())


def test_every_jar_that_the_pom_asks_for_is_pinned() -> None:
    pom = jars.POM.read_text()
    pinned = {(jar.artifact, jar.version) for jar in locked()}
    for artifact, version in (("kafka_2.13", "4.3.0"), ("log4j-core", "2.25.3"), ("log4j-slf4j-impl", "2.25.3")):
        assert f"<artifactId>{artifact}</artifactId>" in pom, "the pom names others: `python -m deploy.supply.jars`"
        assert (artifact, version) in pinned
    assert len(pinned) == 46
    assert write(locked()) == jars.LOCKED.read_text()


def test_a_jar_that_is_another_one_or_one_too_many_is_found(tmp_path: Path) -> None:
    (tmp_path / "a-1.jar").write_bytes(b"as it was")
    pinned = [Jar("g", "a", "1", digest_of(tmp_path / "a-1.jar"), "MIT")]
    verify(tmp_path, pinned)

    (tmp_path / "b-1.jar").write_bytes(b"unasked for")
    with pytest.raises(JarsDiffer, match="b-1"):
        verify(tmp_path, pinned)
    (tmp_path / "b-1.jar").unlink()
    (tmp_path / "a-1.jar").write_bytes(b"as it is not")
    with pytest.raises(JarsDiffer, match="a-1"):
        verify(tmp_path, pinned)
    (tmp_path / "a-1.jar").unlink()
    with pytest.raises(JarsDiffer):
        verify(tmp_path, pinned)


def test_everything_that_runs_may_be_passed_on() -> None:
    assert licences.complaints(everything()) == []


@pytest.mark.parametrize("licence", ["GPL-3.0-only", "MIT AND AGPL-3.0-only", "unknown", "", "some words of their own"])
def test_a_licence_that_is_not_on_the_list_is_found(licence: str) -> None:
    assert licences.complaints([GOOD, GOOD._replace(name="other", licence=licence)]) == [f"pkg:pypi/other@1: {licence}"]


def test_of_licences_to_choose_from_one_is_enough() -> None:
    assert licences.complaints([GOOD._replace(licence="GPL-2.0-only OR MIT")]) == []


def test_the_bill_lists_every_part_with_its_digest_and_licence() -> None:
    parts = everything()
    bill = json.loads(bill_of("1.2.3", parts))
    assert (bill["bomFormat"], bill["specVersion"], bill["metadata"]["component"]["version"]) == (
        "CycloneDX",
        "1.6",
        "1.2.3",
    )
    components = {each["purl"]: each for each in bill["components"]}
    assert components.keys() == {part.purl for part in parts}
    kafka = components["pkg:maven/org.apache.kafka/kafka_2.13@4.3.0"]
    assert len(kafka["hashes"][0]["content"]) == 64
    assert all("licenses" in each for each in components.values())


class _Advisories(http.server.BaseHTTPRequestHandler):
    """Answers as a service of advisories does: it knows one hole."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        results = [{"vulns": [{"id": "X-1"}]} if "bad" in each["package"]["purl"] else {} for each in asked["queries"]]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"results": results}).encode())

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def advisories() -> Iterator[str]:
    """The address of a service of advisories."""
    server = http.server.HTTPServer(("127.0.0.1", 0), _Advisories)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_a_known_hole_is_told_by_part(advisories: str) -> None:
    bad = GOOD._replace(name="bad")
    assert audit.known_holes([GOOD, bad], service=advisories) == {bad.purl: ["X-1"]}


def test_who_could_not_ask_says_that_nothing_is_proved(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LEAP_ADVISORIES", "http://127.0.0.1:9/")
    assert audit.main() == audit.NOT_ASKED
    assert "not proved" in capsys.readouterr().out


def test_every_image_of_others_is_pinned_by_what_the_registry_says() -> None:
    named = digests.images()
    assert {"KAFKA_IMAGE", "POSTGRES_IMAGE", "PROXY_IMAGE", "BASE_IMAGE"} <= named.keys()
    digest = f"sha256:{'0' * 64}"
    text = digests.pinned(named, lambda _: digest)
    assert f"KAFKA_IMAGE={named['KAFKA_IMAGE']}@{digest}\n" in text
    assert text.count(digest) == len(named)


def test_where_no_registry_answers_nothing_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def nobody(image: str) -> str:
        raise digests.NotAsked(image)

    monkeypatch.setattr(digests, "asked_of_the_registry", nobody)
    monkeypatch.setattr(digests, "FILE", tmp_path / "images.env")
    assert digests.main() == digests.NOT_ASKED
    assert not (tmp_path / "images.env").exists()

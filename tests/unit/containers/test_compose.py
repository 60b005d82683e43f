"""The files of the containers, read: what a wrong line would cost is only seen where an engine runs them."""

import importlib
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.services import SERVICES
from deploy.commands import state
from deploy.containers import generate, prepare
from deploy.local.doors import door_from, own_door
from deploy.local.parts import Given
from deploy.observability.prometheus import OPERATIONS_PORT
from services.runtime.settings import PREFIX, Settings

DEPLOY = Path(__file__).parents[3] / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SIMULATED = yaml.safe_load((DEPLOY / "compose.simulated.yaml").read_text())
OUTSIDE = yaml.safe_load((DEPLOY / "compose.outside.yaml").read_text())
CONTAINERS: dict[str, dict[str, Any]] = COMPOSE["services"] | {"simulated": SIMULATED["services"]["simulated"]}
JOBS = ("keys", "prepare", "migrate", "migrate-after", "leap", "administrator", "simulated")


def test_the_compose_files_are_what_their_templates_and_the_list_of_services_make() -> None:
    written = generate.files()
    assert written.keys() == {"compose.yaml", "compose.outside.yaml", "compose.simulated.yaml", "proxy.conf"}
    for name, text in written.items():
        assert (DEPLOY / name).read_text() == text, "run `python -m deploy.containers.generate`"


def unconfined(name: str, container: dict[str, Any]) -> list[str]:
    """Say what a container may do that none here needs."""
    complaints = []
    if container.get("read_only") is not True:
        complaints.append(f"{name}: can write its own root")
    if container.get("cap_drop") != ["ALL"] or container.get("cap_add"):
        complaints.append(f"{name}: keeps capabilities")
    if "no-new-privileges:true" not in container.get("security_opt", []) or container.get("privileged"):
        complaints.append(f"{name}: may gain privileges")
    if not re.match(r"[1-9]\d*(:\d+)?$", str(container.get("user", ""))):
        complaints.append(f"{name}: may be root")
    if not re.match(r"(1[0-5]|[1-9])s$", str(container.get("stop_grace_period", ""))):
        complaints.append(f"{name}: may take longer than 15 s to stop")
    if not {"mem_limit", "pids_limit", "ulimits"} <= container.keys():
        complaints.append(f"{name}: takes as much as it wants")
    if not container.get("networks") and container.get("network_mode") != "none":
        complaints.append(f"{name}: is on a network with everybody")
    if not all(":size=" in each or "/opt/kafka/" in each or "/run/postgresql" in each for each in container["tmpfs"]):
        complaints.append(f"{name}: may fill the memory with temporary files")
    if any(not port.startswith("127.0.0.1:") for port in container.get("ports", [])):
        complaints.append(f"{name}: is open to the network")
    return complaints


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_may_do_nothing_it_does_not_need(name: str) -> None:
    assert unconfined(name, CONTAINERS[name]) == []


def test_a_container_with_everything_allowed_is_found() -> None:
    allowed = {"privileged": True, "cap_add": ["SYS_ADMIN"], "user": "0:0", "ports": ["80:80"], "tmpfs": ["/tmp"]}
    assert len(unconfined("loose", allowed)) == 9


ADDRESS_OF_ADMINISTRATOR = "POSTGRES_PASSWORD"


def test_only_those_who_lay_out_and_administer_know_how() -> None:
    assert [name for name, each in CONTAINERS.items() if ADDRESS_OF_ADMINISTRATOR in str(each)] == [
        "postgres",
        "prepare",
    ]
    holders = [name for name, each in CONTAINERS.items() if "administrator:/app/.leap" in each.get("volumes", [])]
    assert holders == ["prepare", "administrator"]
    of_the_broker = {name for name, each in CONTAINERS.items() if "broker:/" in str(each.get("volumes"))}
    assert of_the_broker == {"keys", "kafka", "prepare", "administrator"}
    everybody_s = {name for name, each in CONTAINERS.items() if "passwords:/" in str(each.get("volumes"))}
    assert everybody_s == {"prepare", "administrator"}
    # A simulated state sends in the districts' place; whoever only looks has none of their passwords.
    for name, more in (("leap", set()), ("simulated", {"senders"})):
        mounted = {volume.partition(":")[0] for volume in CONTAINERS[name]["volumes"]}
        assert mounted <= {"operator", "time"} | more, f"{name} is given no file of secrets"


def test_what_the_operator_is_left_names_no_secret_no_token_and_no_administrator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "operator").mkdir()
    (tmp_path / "districts").mkdir()
    declared = {"hartford": {"secret": "5e" * 32, "token": "a-token-of-theirs", "name": "Hartford"}}
    (tmp_path / "districts" / "districts.json").write_text(
        json.dumps({"state_secret": "57" * 32, "districts": declared})
    )
    monkeypatch.setattr(prepare, "KNOWN", tmp_path)
    monkeypatch.setattr(state, "folder", lambda: tmp_path / "administrator")
    monkeypatch.setattr(
        prepare, "_keep_login", lambda login, _: login.write_text("postgresql://onlooker:pw@postgres/x")
    )

    door = own_door("kafka:9092", tmp_path / "passwords", protocol="SASL_SSL")
    whole = state.State(
        broker=Given("kafka:9092").describe(),
        door=door.describe(),
        database=Given("postgresql://postgres:highest@postgres/x").describe(),
    )
    prepare._give_operator(whole, "postgresql://postgres:highest@postgres/x")

    left = "".join(path.read_text() for path in (tmp_path / "operator").iterdir())
    assert "onlooker" in left
    left_door = door_from(json.loads((tmp_path / "operator" / "state.json").read_text())["door"])
    assert (left_door.administrator.user, left_door.administrator.mechanism) == ("leap", "SCRAM-SHA-512")
    assert [secret for secret in ("highest", "5e5e", "5757", "a-token-of-theirs") if secret in left] == []


def test_kafka_and_postgresql_are_on_networks_that_lead_nowhere_else() -> None:
    for part, network in (("kafka", "records"), ("postgres", "rows")):
        assert CONTAINERS[part]["networks"] == [network]
        assert COMPOSE["networks"][network] == {"internal": True}
        assert not CONTAINERS[part].get("ports")
    assert CONTAINERS["proxy"]["networks"] == ["front"]
    assert not any(CONTAINERS[service].get("ports") for service in SERVICES), "the proxy is the way in"


def test_a_way_in_for_producers_of_districts_is_asked_for_and_is_the_broker_s_alone() -> None:
    assert OUTSIDE["services"].keys() == {"kafka"}
    (port,) = OUTSIDE["services"]["kafka"]["ports"]
    assert re.fullmatch(r"127\.0\.0\.1:.*:9094", port)
    assert OUTSIDE["services"]["kafka"]["networks"] == [*OUTSIDE["networks"]] == ["outside"]
    assert not any("outside" in each.get("networks", []) for each in CONTAINERS.values())


@pytest.mark.parametrize("name", CONTAINERS)
def test_what_lasts_has_a_health_check_and_a_job_has_none(name: str) -> None:
    checked = "test" in CONTAINERS[name].get("healthcheck", {})
    assert checked is (name not in JOBS)


@pytest.mark.parametrize("name", JOBS)
def test_a_job_hears_that_it_is_to_stop(name: str) -> None:
    assert CONTAINERS[name]["init"] is True


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_image_can_be_named_otherwise_and_is_pinned(name: str) -> None:
    found = re.fullmatch(r"\$\{[A-Z]+_IMAGE:-(?P<image>[\w./-]+):(?P<tag>[\w.-]+)\}", CONTAINERS[name]["image"])
    assert found, CONTAINERS[name]["image"]
    ours = found["image"] == "leap"
    assert ours is (name in (*SERVICES, "auditor", *JOBS))
    assert ours or re.search(r"\d+\.\d+", found["tag"]), "a tag that moves is no pin"


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("moved", [False, True], ids=["real", "simulated"])
def test_a_service_is_told_only_what_it_knows_and_all_that_it_needs(service: str, moved: bool) -> None:
    told = dict(CONTAINERS[service]["environment"])
    if moved:
        told |= SIMULATED["services"][service]["environment"]
    settings: type[Settings] = importlib.import_module(f"services.{service}.app").service.settings

    # The address of the database comes from the volume of the service's login.
    read = settings.from_environment({**told, f"{PREFIX}DATABASE_URL": "postgresql://"})

    assert (read.http_port, read.port_of_operations) == (8000, OPERATIONS_PORT)
    assert read.people_file is not None
    assert (read.clock_file is not None) is moved


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_sees_its_own_login_and_no_other(service: str) -> None:
    logins = [each for each in CONTAINERS[service]["volumes"] if each.startswith("login-")]
    assert logins == [f"login-{service}:/run/leap/{service}:ro"]
    assert "owners" not in str(CONTAINERS[service]["volumes"])
    assert "POSTGRES_PASSWORD" not in str(CONTAINERS[service])


def test_schemas_grow_before_the_services_start_and_shrink_when_all_of_them_have() -> None:
    for service in SERVICES:
        assert CONTAINERS[service]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
        assert CONTAINERS[service]["environment"]["LEAP_MIGRATIONS"] == "by-job"
    assert CONTAINERS["migrate"]["command"].endswith("deploy.containers.migrate pre")
    assert CONTAINERS["migrate-after"]["command"].endswith("deploy.containers.migrate post")
    assert CONTAINERS["migrate-after"]["depends_on"] == {name: {"condition": "service_healthy"} for name in SERVICES}


def test_every_volume_is_declared_and_every_mounted_file_exists() -> None:
    declared = COMPOSE["volumes"].keys() | SIMULATED["volumes"].keys()
    for name, container in CONTAINERS.items():
        for volume in container.get("volumes", []):
            source = volume.partition(":")[0]
            if source == "${CERTIFICATE_FOLDER":  # whose certificate it is, only its owner can say
                continue
            assert (DEPLOY / source).exists() if source.startswith(".") else source in declared, f"{name}: {volume}"


def test_the_services_run_unprivileged_on_a_base_that_can_be_named() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    assert any(re.fullmatch(r"ARG BASE_IMAGE=\S+:\d+\.\d+\.\d+\S*", line) for line in lines)
    assert {line for line in lines if line.startswith("FROM")} == {
        "FROM ${BASE_IMAGE} AS build",
        "FROM ${BASE_IMAGE}",
    }
    assert [line for line in lines if line.startswith("USER")] == ["USER 10001:10001"]
    assert all("--require-hashes" in line for line in lines if "pip install" in line)
    assert any(line.startswith("HEALTHCHECK") for line in lines)


@pytest.mark.parametrize("script", ["start", "ready", "answers", "here/start-kafka", "here/start-postgres"])
def test_a_script_can_be_run(script: str) -> None:
    path = DEPLOY / "containers" / script
    assert os.access(path, os.X_OK)
    assert path.read_text().startswith("#!")

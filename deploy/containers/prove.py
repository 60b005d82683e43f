"""`make containers`: every image built and the whole of compose.yaml run for real, then stopped piece by piece.

Where no engine can be had nothing is proved, and it says so and ends with 4.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from contracts.services import SERVICES
from deploy.containers import images
from deploy.containers.composed import LASTING, PARTS, PROXY, WATCHERS, Composed
from deploy.containers.engine import Engine, engine
from deploy.local.machine import checkout
from deploy.local.parts import PartFailed, PartMissing, wait_until

WELL, NOT_WELL, MISSING = 0, 1, 4
STOP_SECONDS = 15.0
WORKED_OFF_SECONDS = 300.0
STOPS_AT_MOST = 3
NOT_PROVED = (
    "that the images build and compose.yaml starts; that containers run read-only, unprivileged and without "
    "capabilities; that they stop in time with nothing lost; the pipeline tests on containers"
)
PIPELINE = ("tests/pipeline/test_nothing_lost.py",)


def main() -> int:
    """Build, run, look, stop and start again, and say how long each took."""
    folder = checkout() / ".leap" / "containers"
    try:
        made = engine(folder)
    except PartMissing as missing:
        print(f"make containers: skipped. {missing}\nNot proved: {NOT_PROVED}.", file=sys.stderr)
        return MISSING
    try:
        _build(made)
        _run_composed(made)
        _run_tests(made)
    except PartFailed as failed:
        print(f"make containers: {failed}", file=sys.stderr)
        return NOT_WELL
    finally:
        made.stop()
    print("not proved: Grafana and the public images of Kafka, PostgreSQL and the rest, which can't be pulled here")
    return WELL


def _build(made: Engine) -> None:
    with _step("base image by debootstrap, or the one there is"):
        images.build_base(made, made.folder)
    with _step("image of the services"):
        images.build_services(made)
    with _step("images of Kafka, PostgreSQL, Prometheus, Alertmanager and nginx"):
        images.build_parts(made, made.folder)


def _run_composed(made: Engine) -> None:
    composed = Composed(made)
    try:
        with _step("up: parts, jobs, services and watchers healthy"):
            composed.up()
        _require(composed.status()["well"], "leap status is not green before anything was sent")
        with _step(f"{len(LASTING)} containers read-only, unprivileged, without capabilities"):
            for service in LASTING:
                _confined(composed, service)
        with _step("the broker lets nobody in unasked, and who may do what is as the contract says"):
            composed.inside("python", "-m", "deploy.cli", "kafka", "check")
        with _step("topics, roles and schemas laid out a second time: every login stays"):
            _require(composed.prepare_again() == 0, "the second preparation failed")
        _stopped_while_sending(composed)
        with _step("the desk answers through the proxy, over TLS; what machines ask does not"):
            _require(composed.proxied("scheduling", "/sign-in") == 200, "no page came through the proxy")
            _require(composed.proxied("scheduling", "/metrics") == 404, "metrics can be asked from outside")
        with _step("Prometheus reaches every service"):
            wait_until(lambda: composed.seen_by_prometheus() == set(SERVICES), seconds=60, what="Prometheus")
        for service in (PROXY, *WATCHERS, *SERVICES, *PARTS):
            _stop(composed, service)
    finally:
        with _step("down"):
            composed.down()


def _confined(composed: Composed, service: str) -> None:
    privileges = composed.privileges(service)
    _require("0" not in privileges["Uid"].split(), f"{service} runs as root")
    _require(privileges["NoNewPrivs"] == "1", f"{service} could gain privileges")
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        _require(int(privileges[kind], 16) == 0, f"{service} has capabilities: {kind} {privileges[kind]}")
    for path in ("/written", "/app/written", "/etc/written"):
        _require(not composed.can_write(service, path), f"{service} can write {path}")


def _stopped_while_sending(composed: Composed) -> None:
    """Each service is stopped and started while districts send; afterwards every record is accounted for."""
    sending = _send(composed)
    for service in SERVICES:
        for _ in range(STOPS_AT_MOST):
            _stop(composed, service)
            still_sending = composed.ended(sending) is None
            composed.start(service)
            if still_sending:
                break
            # They were done before it had stopped: the same files once more, which changes nothing and counts.
            _sent(composed, sending)
            sending = _send(composed)
        else:
            raise PartFailed(f"{service} was never stopped while records came")
    while composed.ended(sending) is None:
        time.sleep(1)
    _sent(composed, sending)
    with _step("worked off what came while each service was stopped"):
        status = _until_well(composed)
    sent = sum(district["sent"] for district in status["districts"])
    gaps = sum(abs(district["gap"]) for district in status["districts"])
    print(f"  {sent:,} records sent, gap {gaps}, lag 0, totals {status['totals']}", flush=True)
    _require(sent > 0 and gaps == 0, "records are missing")


def _send(composed: Composed) -> str:
    return composed.begin(
        *("python", "-m", "deploy.demo", "--bootstrap", "kafka:9092", "--scale", "0.1"),
        *("--passwords", "/run/leap/passwords", "--ca", "/run/leap/broker/ca.pem"),
        *("--districts-file", "/app/.leap/districts.json"),
        service="administrator",
    )


def _sent(composed: Composed, sending: str) -> None:
    _require(composed.ended(sending) == 0, f"the districts could not send:\n{composed.said(sending)[-2000:]}")


def _until_well(composed: Composed) -> dict[str, Any]:
    deadline = time.monotonic() + WORKED_OFF_SECONDS
    while True:
        status = composed.status()
        if status["well"]:
            return status
        if time.monotonic() > deadline:
            raise PartFailed(f"not well {WORKED_OFF_SECONDS:.0f} s after the last record: {status}")


def _stop(composed: Composed, service: str) -> None:
    took, code = composed.stop(service)
    print(f"  {service} stopped in {took:.1f} s", flush=True)
    _require(took < STOP_SECONDS, f"{service} took {took:.1f} s to stop")
    # 137: it had to be killed.
    _require(code in _GOOD_ENDS.get(service, (0,)), f"{service} ended with {code}")


# Java and Go say by which signal they were told.
_GOOD_ENDS = {"kafka": (0, 143)}


def _run_tests(made: Engine) -> None:
    with _step(f"{' '.join(PIPELINE)} on containers"):
        finished = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", *PIPELINE],
            cwd=checkout(),
            env={**os.environ, **made.environment, **images.BUILT},
            check=False,
        )
    # Where the engine had not answered, the tests would have run on processes and have passed all the same.
    used = made.run("ps", "-a", "--filter", "label=org.testcontainers=true", "--format", "{{.ID}} {{.Image}}").split()
    containers, of_images = used[0::2], set(used[1::2])
    if containers:
        made.run("rm", "-f", "-v", *containers)
    _require(finished.returncode == 0, "the pipeline tests failed on containers")
    for name in ("KAFKA_IMAGE", "POSTGRES_IMAGE"):
        _require(f"{images.BUILT[name]}:latest" in of_images, f"the pipeline tests never started {images.BUILT[name]}")


@contextmanager
def _step(said: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    print(f"{time.monotonic() - began:6.1f} s  {said}", flush=True)


def _require(holds: object, otherwise: str) -> None:
    if not holds:
        raise PartFailed(otherwise)


if __name__ == "__main__":
    sys.exit(main())

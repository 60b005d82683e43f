"""Pages wake somebody, tickets wait for the day, and the dead man's switch is told all the time."""

import shutil
import subprocess

import pytest

from deploy.observability.alerts import Alert, listed
from deploy.observability.generate import HERE

CONFIGURATION = str(HERE / "generated" / "alertmanager.yml")
RECEIVER_OF = {"page": "pager", "ticket": "tickets", "none": "dead man's switch"}

pytestmark = pytest.mark.skipif(
    shutil.which("amtool") is None,
    reason="amtool is missing (Debian: prometheus-alertmanager): who is told of an alert is not proved",
)


def amtool(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["amtool", *words], capture_output=True, text=True, check=False)


def test_alertmanager_takes_its_configuration() -> None:
    finished = amtool("check-config", CONFIGURATION)
    assert finished.returncode == 0, finished.stdout + finished.stderr


@pytest.mark.parametrize("alert", listed(), ids=lambda alert: f"{alert.name}-{alert.severity}-{alert.wait}")
def test_every_alert_reaches_whom_it_should(alert: Alert) -> None:
    labels = [f"alertname={alert.name}", f"severity={alert.severity}", "district=hartford"]
    finished = amtool("config", "routes", "test", f"--config.file={CONFIGURATION}", *labels)
    assert finished.stdout.strip() == RECEIVER_OF[alert.severity]


def test_an_alert_of_unknown_severity_is_not_lost() -> None:
    finished = amtool("config", "routes", "test", f"--config.file={CONFIGURATION}", "alertname=Other")
    assert finished.stdout.strip() == "tickets"

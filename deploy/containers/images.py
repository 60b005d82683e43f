"""The images of the proof, built from nothing on a machine that can pull none: debootstrap, Maven's jars, a wheel."""

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from deploy.containers.engine import Engine
from deploy.local.broker import kafka_jars
from deploy.local.machine import checkout
from deploy.local.parts import PartFailed
from deploy.local.postgres import postgres_programs

BASE = "localhost/leap-base"
BUILT = {
    "LEAP_IMAGE": "localhost/leap",
    "KAFKA_IMAGE": "localhost/leap-kafka",
    "POSTGRES_IMAGE": "localhost/leap-postgres",
    "PROMETHEUS_IMAGE": "localhost/leap-prometheus",
    "ALERTMANAGER_IMAGE": "localhost/leap-alertmanager",
    "PROXY_IMAGE": "localhost/leap-proxy",
}
"""By the variables that compose.yaml and deploy/local/containers.py know."""

HERE = Path(__file__).parent / "here"
_IN_THE_BASE = ("python3", "python3-venv", "zlib1g")

# Builds install packages as this machine does, with its settings of pip and apt. Certificates for pip alone: Debian's
# packages write beside theirs.
_FOR_PIP, _FOR_APT = ("/etc/ssl/certs", "/etc/pip.conf"), ("/etc/apt",)


def build_base(engine: Engine, folder: Path) -> None:
    """Make Debian's smallest system with Python an image, unless it is there already."""
    if engine.succeeds("image", "exists", BASE):
        return
    root, packages = folder / "root", folder / "packages"
    shutil.rmtree(root, ignore_errors=True)
    packages.mkdir(parents=True, exist_ok=True)
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(_IN_THE_BASE)}", f"--cache-dir={packages}"]
    made = subprocess.run(
        [*command, release["VERSION_CODENAME"].strip('"'), str(root), _mirror()],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise PartFailed(f"debootstrap failed:\n{made.stdout[-2000:]}")
    archive = folder / "base.tar"
    left_out = ("./dev/*", "./var/cache/apt/archives/*", "./var/lib/apt/lists/*")
    subprocess.run(
        ["tar", "-C", str(root), *(f"--exclude={each}" for each in left_out), "-cf", str(archive), "."], check=True
    )
    engine.run("import", str(archive), BASE)
    archive.unlink()
    shutil.rmtree(root)


def build_services(engine: Engine) -> None:
    """Build deploy/Dockerfile on the base."""
    revision = subprocess.run(
        ["git", "-C", str(checkout()), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    _build(
        engine,
        *("-f", str(checkout() / "deploy" / "Dockerfile"), "-t", BUILT["LEAP_IMAGE"]),
        *("--build-arg", f"REVISION={revision.stdout.strip() or 'unknown'}"),
        context=checkout(),
        mounted=_FOR_PIP,
    )


def build_parts(engine: Engine, folder: Path) -> None:
    """Build Kafka, PostgreSQL, Prometheus, Alertmanager and nginx on the same base."""
    context = folder / "context"
    shutil.rmtree(context, ignore_errors=True)
    shutil.copytree(HERE, context)
    shutil.copytree(kafka_jars(), context / "kafka")
    wheel = postgres_programs().parents[1]
    shutil.copytree(wheel, context / "postgres" / wheel.name, symlinks=True)
    shutil.copytree(wheel.with_suffix(".libs"), context / "postgres" / f"{wheel.name}.libs", symlinks=True)
    for target in ("kafka", "postgres", "prometheus", "alertmanager", "proxy"):
        _build(engine, "--target", target, "-t", BUILT[f"{target.upper()}_IMAGE"], context=context, mounted=_FOR_APT)
    shutil.rmtree(context)


def _build(engine: Engine, *words: str, context: Path, mounted: Iterable[str]) -> None:
    volumes = [f"--volume={path}:{path}:ro" for path in mounted if Path(path).exists()]
    # Docker's own format: the other one knows no health check.
    given = ("--format=docker", "--layers", "--network=host", "--build-arg", f"BASE_IMAGE={BASE}")
    engine.run("build", *given, *volumes, *words, str(context))


def _mirror() -> str:
    """The address from which this machine's own apt takes its release: the tree names none."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    )
    found = [line for line in listed.stdout.splitlines() if line and "security" not in line]
    if not found:
        raise PartFailed("apt knows no source of packages: run `apt-get update` first")
    return found[0]

"""Writes compose files and the proxy's from templates: `python -m deploy.containers.generate`. A test compares."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from deploy.local.services import HTTP_PORTS

DEPLOY = Path(__file__).parents[1]
TEMPLATES = Path(__file__).parent / "templates"

INSIDE = ("flagging",)
_NOTE = "# Written by `python -m deploy.containers.generate`: change the template in deploy/containers/templates.\n"


def files() -> dict[str, str]:
    """Give the text of every file, by its name in `deploy/`: each service of the list has its place in it."""
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # YAML, and every word of it is ours
    )
    ports = {service: f"${{{service.upper()}_PORT:-{port}}}" for service, port in HTTP_PORTS.items()}
    # Flagging is asked by nobody outside.
    doors = {service: port for service, port in HTTP_PORTS.items() if service not in INSIDE}
    return {
        name: _NOTE + templates.get_template(name).render(services=ports, doors=doors)
        for name in templates.list_templates()
    }


def main() -> None:
    """Write them where `docker compose` is told to find them."""
    for name, text in files().items():
        (DEPLOY / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

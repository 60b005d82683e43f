"""`leap policy`: a district's one policy, shown, decided, and carried over from the release before."""

import json
from collections.abc import Iterable
from typing import Any

from deploy.commands import districts, http_client, people, state
from deploy.commands.screen import Screen


class NotAPolicy(Exception):
    """A field that the policy does not have, or a change that can't be read; the message says which."""


def show(screen: Screen, *, district: str) -> int:
    """Print the district's newest decision, a line for each field, and which version is in force."""
    policy = _newest(state.load_running().address_of("scheduling"), district)
    screen.give(policy)
    screen.say(f"{district}: version {policy['version']}, in force from {policy['effective_from']}")
    if policy["in_force"] != policy["version"]:
        screen.say(f"until then version {policy['in_force']} stands")
    for name, value in _lines(policy):
        screen.say(f"  {name:44} {value if isinstance(value, str) else json.dumps(value)}")
    return 0


def decide(screen: Screen, *, district: str, changes: Iterable[str], effective_from: str | None) -> int:
    """Make the next version: the newest with these changes (`absence.min_enrolled_days=15`), from a school day on."""
    address = state.load_running().address_of("scheduling")
    policy = _newest(address, district)
    for each in changes:
        change(policy, each)
    decided = _decide(address, district, policy, effective_from)
    screen.give(decided)
    screen.say(f"{district}: version {decided['version']}, in force from {decided['effective_from']}")
    return 0


def carry(screen: Screen, *, chosen: str | None) -> int:
    """Tell what districts decided before there was one policy: the desk's and the visit log's parts together.

    Once for each district: one whose visit log has heard of a decision of the desk is left as it is.
    """
    found = state.load_running()
    address, carried = found.address_of("scheduling"), {}
    for district in [chosen] if chosen else [each for each in districts.codes() if each != districts.SANDBOX]:
        policy = _newest(address, district)
        of_log = http_client.get(found.address_of("visitlog"), f"/v1/log-policies/{district}", _coordinator(district))
        if of_log["at_desk"] or not (policy["version"] or of_log["version"]):
            screen.say(f"{district}: nothing to carry over")
            continue
        if of_log["version"]:
            policy["log"] = of_log["policy"]
        carried[district] = _decide(address, district, policy, None)["version"]
        screen.say(f"{district}: told as version {carried[district]}")
    screen.give({"carried": carried})
    return 0


def _newest(address: str, district: str) -> dict[str, Any]:
    policy: dict[str, Any] = http_client.get(address, f"/v1/policies/{district}", _coordinator(district))
    return policy


def _decide(address: str, district: str, policy: dict[str, Any], effective_from: str | None) -> dict[str, Any]:
    command = {name: policy[name] for name in ("version", "absence", "desk", "log")}
    decided: dict[str, Any] = http_client.put(
        address, f"/v1/policies/{district}", _coordinator(district), command | {"effective_from": effective_from}
    )
    return decided


def _coordinator(district: str) -> dict[str, str]:
    districts.token_of(district)  # names the districts there are, where this is none
    return people.acting_as(f"coordinator-{district}")


def change(policy: dict[str, Any], said: str) -> None:
    """Make one change, `absence.min_enrolled_days=15`, to a policy as the API shows it. Raises NotAPolicy."""
    path, given, value = said.partition("=")
    *steps, name = path.split(".")
    part = policy
    for step in steps:
        part = part.get(step, {})
    if not given or not steps or name not in part:
        names = ", ".join(each for each, _ in _lines(policy))
        raise NotAPolicy(f"{said}: write FIELD=VALUE, where FIELD is one of {names}")
    part[name] = value.split(",") if isinstance(part[name], list) and not value.startswith("[") else _read(value)


def _read(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def _lines(policy: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    lines: list[tuple[str, Any]] = []
    for name, value in policy.items():
        if isinstance(value, dict):
            lines += _lines(value, f"{before}{name}.")
        elif before:
            lines.append((before + name, value))
    return lines

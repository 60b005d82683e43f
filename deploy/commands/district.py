"""`leap district STATUS DISTRICT`: whether what is computed for a district is told, as operations decide it."""

from deploy.commands import districts, http_client, people, state
from deploy.commands.screen import Screen


def declare(screen: Screen, *, district: str, status: str) -> int:
    """Put a district live, back into rehearsal, or let it rest."""
    districts.token_of(district)
    address, path = state.load_running().address_of("scheduling"), f"/v1/districts/{district}/status"
    acting = people.acting_as("ops")
    standing = http_client.get(address, path, acting)
    declared = http_client.put(address, path, acting, {"version": standing["version"], "status": status})
    screen.give(declared)
    screen.say(f"{district}: {declared['status']} since {declared['since']} (version {declared['version']})")
    return 0

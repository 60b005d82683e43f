"""How often wrong keys may be tried: per address, and per address and person, in every five minutes.

Nobody is kept out for long, nor from another address: keys have 120 random bits, so the limit is against noise, and
a lock on the person would only be a way to keep them from their work.
"""

import ipaddress
import math
import time
from collections import OrderedDict, deque

WINDOW_SECONDS = 300.0
WRONG_PER_PERSON = 5
WRONG_PER_ADDRESS = 30
# Who came in from an address lately goes on coming in from there, whatever others try beside them.
KNOWN_SECONDS = 3600.0
SAID_EVERY_SECONDS = 60.0
MOST_KEPT = 20_000


class Guesses:
    """What was tried in vain at this process, and who came in from where lately."""

    def __init__(self) -> None:
        self._wrong: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()
        self._right: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._said: dict[str, float] = {}

    def wait_seconds(self, address: str, who: str) -> int:
        """Tell for how many seconds no more keys are looked at from there for this person; 0: try."""
        network, now = network_of(address), time.monotonic()
        seconds = self._until(network, who, WRONG_PER_PERSON, now) if who else 0.0
        if not self._is_known(network, who, now):
            seconds = max(seconds, self._until(network, "", WRONG_PER_ADDRESS, now))
        return math.ceil(seconds)

    def wrong(self, address: str, who: str) -> None:
        """Note a key that was wrong; `who` is empty where nobody was named."""
        network, now = network_of(address), time.monotonic()
        for name in {"", who}:
            tried = self._wrong.setdefault((network, name), deque(maxlen=WRONG_PER_ADDRESS))
            tried.append(now)
            self._wrong.move_to_end((network, name))
        while len(self._wrong) > MOST_KEPT:
            self._wrong.popitem(last=False)

    def right(self, address: str, who: str) -> None:
        """Note that the person came in from there."""
        where = network_of(address), who
        self._wrong.pop(where, None)
        self._right[where] = time.monotonic()
        self._right.move_to_end(where)
        while len(self._right) > MOST_KEPT:
            self._right.popitem(last=False)

    def is_news(self, address: str) -> bool:
        """Tell whether it is worth a line that keys are refused unseen from there: once a minute."""
        network, now = network_of(address), time.monotonic()
        if now - self._said.get(network, -math.inf) < SAID_EVERY_SECONDS:
            return False
        if len(self._said) >= MOST_KEPT:
            self._said.clear()
        self._said[network] = now
        return True

    def _until(self, network: str, name: str, most: int, now: float) -> float:
        tried = self._wrong.get((network, name))
        if tried is None or len(tried) < most:
            return 0.0
        return max(0.0, tried[-most] + WINDOW_SECONDS - now)

    def _is_known(self, network: str, who: str, now: float) -> bool:
        return now - self._right.get((network, who), -math.inf) < KNOWN_SECONDS


def network_of(address: str) -> str:
    """Give the part of an address that all machines of one line share: of IPv6 the first 64 bits."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(found) if found.version == 4 else str(ipaddress.ip_network((found, 64), strict=False))

"""Alertmanager's configuration: who is told of what, how soon, and what needs no telling twice."""

WATCHDOG = "Watchdog"

PAGER = "http://pager:9099/page"
TICKETS = "http://pager:9099/ticket"
DEAD_MAN = "http://pager:9099/dead-man"
"""Where the containers post. Put your own pager's, ticket desk's and dead man's switch's webhooks in their place."""


def configuration(
    *, pager: str | None = PAGER, tickets: str | None = TICKETS, dead_man: str | None = DEAD_MAN, at_once: bool = False
) -> dict[str, object]:
    """Give the configuration; None sends nothing and only shows.

    `at_once` tells without gathering first: for proofs, not for people's sleep.
    """
    return {
        "route": {
            "receiver": "tickets",
            "group_by": ["alertname", "group", "district", "slo"],
            "group_wait": "0s" if at_once else "1m",
            "group_interval": "1s" if at_once else "5m",
            "repeat_interval": "12h",
            "routes": [
                # To something that raises the alarm when this stops coming.
                {
                    "receiver": "dead man's switch",
                    "matchers": [f'alertname="{WATCHDOG}"'],
                    "group_wait": "0s",
                    "group_interval": "1m",
                    "repeat_interval": "1m",
                },
                {
                    "receiver": "pager",
                    "matchers": ['severity="page"'],
                    "group_wait": "0s" if at_once else "10s",
                    "repeat_interval": "1h",
                },
            ],
        },
        "inhibit_rules": [
            # A promise that pages needs no ticket beside it.
            {
                "source_matchers": ['severity="page"'],
                "target_matchers": ['severity="ticket"'],
                "equal": ["alertname", "slo"],
            },
            # Whoever is woken for a consumer that is far behind or gone knows that it is behind.
            {
                "source_matchers": ['alertname=~"ConsumerBehind|ConsumerAbsent"'],
                "target_matchers": ['alertname="LagGrows"'],
                "equal": ["group"],
            },
        ],
        "receivers": [
            _receiver("pager", pager),
            _receiver("tickets", tickets),
            _receiver("dead man's switch", dead_man, resolved=False),
        ],
    }


def _receiver(name: str, url: str | None, *, resolved: bool = True) -> dict[str, object]:
    return {"name": name, **({"webhook_configs": [{"url": url, "send_resolved": resolved}]} if url else {})}

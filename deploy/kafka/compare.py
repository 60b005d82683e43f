"""What a broker has beside what it is to have: every difference, named. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from contracts.broker_users import DISTRICT, Kind, Operation, Quota, Rule

ALLOW = 3
LITERAL, PREFIXED = 3, 4
_KINDS = {Kind.TOPIC: 2, Kind.GROUP: 3, Kind.CLUSTER: 4, Kind.SENDER: 5}
_OPERATIONS = {
    Operation.READ: 3,
    Operation.WRITE: 4,
    Operation.DELETE: 6,
    Operation.DESCRIBE: 8,
    Operation.DESCRIBE_CONFIGS: 10,
    Operation.BE_NUMBERED: 12,
}
_KIND_WORDS = {number: str(kind) for kind, number in _KINDS.items()}
_OPERATION_WORDS = {number: str(operation) for operation, number in _OPERATIONS.items()} | {
    2: "do everything to",
    5: "create",
    7: "alter",
    9: "act as a broker on",
    11: "alter configs",
}
EVERYWHERE = "*"
_PRINCIPAL = "User:"


class Acl(NamedTuple):
    """A rule as the broker keeps it, in the order of the protocol's fields and its numbers."""

    kind: int
    name: str
    pattern: int
    principal: str
    host: str
    operation: int
    permission: int

    def __str__(self) -> str:
        who = self.principal.removeprefix(_PRINCIPAL)
        verb = "may" if self.permission == ALLOW else "may not"
        what = f"{_OPERATION_WORDS.get(self.operation, self.operation)} {_KIND_WORDS.get(self.kind, self.kind)}"
        star = EVERYWHERE if self.pattern == PREFIXED else ""
        where = "" if self.host == EVERYWHERE else f" from {self.host}"
        return f"{who} {verb} {what} {self.name}{star}{where}"


def acl_of(rule: Rule) -> Acl:
    """Say a rule in the broker's words."""
    return Acl(
        kind=_KINDS[rule.kind],
        name=rule.name,
        pattern=PREFIXED if rule.is_prefix else LITERAL,
        principal=_PRINCIPAL + rule.user,
        host=EVERYWHERE,
        operation=_OPERATIONS[rule.operation],
        permission=ALLOW,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A topic: how many partitions, on how many brokers each is kept at least, and its settings."""

    partitions: int
    copies: int
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Users, rules, quotas and topics, as they are to be or as they are. `quotas` by user, as the broker names them."""

    users: frozenset[str]
    acls: frozenset[Acl]
    quotas: Mapping[str, Mapping[str, float]]
    topics: Mapping[str, Topic]
    authorizes: bool = True


def quota_of(quota: Quota) -> dict[str, float]:
    """Say a quota in the broker's words."""
    return dict(quota._asdict())


@dataclass(slots=True, kw_only=True)
class Drift:
    """The differences, each kind by itself, so that each can be mended; `lines` says them all."""

    authorizes: bool = True
    users_missing: list[str] = field(default_factory=list)
    users_unknown: list[str] = field(default_factory=list)
    passwords_wrong: list[str] = field(default_factory=list)
    rules_missing: list[Acl] = field(default_factory=list)
    rules_unknown: list[Acl] = field(default_factory=list)
    quotas: dict[str, tuple[Mapping[str, float], Mapping[str, float]]] = field(default_factory=dict)
    topics_missing: list[str] = field(default_factory=list)
    settings: dict[str, dict[str, tuple[str | None, str]]] = field(default_factory=dict)
    partitions: dict[str, tuple[int, int]] = field(default_factory=dict)
    copies: dict[str, tuple[int, int]] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Name every difference in a line of its own."""
        return list(self._lines())

    def _lines(self) -> Iterator[str]:
        if not self.authorizes:
            yield "broker: it asks nobody who they are, or checks no rule: whoever reaches it may do everything"
        yield from (f"user {each}: missing" for each in self.users_missing)
        yield from (f"user {each}: nobody of ours" for each in self.users_unknown)
        yield from (f"user {each}: can't sign in with the password of its file" for each in self.passwords_wrong)
        yield from (f"rule missing: {each}" for each in self.rules_missing)
        yield from (f"rule of nobody's making: {each}" for each in self.rules_unknown)
        for user, (found, wanted) in self.quotas.items():
            yield f"quota of {user}: {_numbers(found)}, to be {_numbers(wanted)}"
        yield from (f"topic {each}: missing" for each in self.topics_missing)
        for topic, settings in self.settings.items():
            for name, (is_now, to_be) in settings.items():
                yield f"topic {topic}: {name} is {is_now}, to be {to_be}"
        for topic, (is_now_count, to_be_count) in self.partitions.items():
            yield f"topic {topic}: {is_now_count} partitions, to be {to_be_count}"
        for topic, (is_now_count, to_be_count) in self.copies.items():
            yield f"topic {topic}: {is_now_count} copies of a partition, to be {to_be_count}"


def differences(wanted: Layout, found: Layout, *, is_ours: bool, has_users: bool = True) -> Drift:
    """Compare. On a broker that others use as well, only what concerns our users and topics is a difference."""
    drift = Drift(authorizes=found.authorizes and has_users)
    for name, topic in wanted.topics.items():
        _compare_topic(drift, name, topic, found.topics.get(name))
    if not drift.authorizes:
        return drift
    drift.users_missing = sorted(wanted.users - found.users)
    drift.rules_missing = sorted(wanted.acls - found.acls)
    strangers = found.acls - wanted.acls
    concerned = strangers if is_ours else {each for each in strangers if _concerns(each, wanted)}
    drift.rules_unknown = sorted(concerned)
    users_of_others = found.users - wanted.users
    drift.users_unknown = sorted(users_of_others if is_ours else filter(_is_a_district, users_of_others))
    limited = {user for user in found.quotas if is_ours or user in wanted.users or _is_a_district(user)}
    for user in sorted(limited | wanted.quotas.keys()):
        has, to_have = found.quotas.get(user, {}), wanted.quotas.get(user, {})
        if dict(has) != dict(to_have):
            drift.quotas[user] = (has, to_have)
    return drift


def _compare_topic(drift: Drift, name: str, wanted: Topic, found: Topic | None) -> None:
    if found is None:
        drift.topics_missing.append(name)
        return
    differing = {
        setting: (found.settings.get(setting), value)
        for setting, value in wanted.settings.items()
        if found.settings.get(setting) != value
    }
    if differing:
        drift.settings[name] = differing
    if found.partitions != wanted.partitions:
        drift.partitions[name] = (found.partitions, wanted.partitions)
    if found.copies < wanted.copies:
        drift.copies[name] = (found.copies, wanted.copies)


def _concerns(acl: Acl, wanted: Layout) -> bool:
    user = acl.principal.removeprefix(_PRINCIPAL)
    if user in wanted.users or _is_a_district(user):
        return True
    if acl.permission != ALLOW:
        return user == EVERYWHERE
    names = (
        wanted.topics
        if acl.kind == _KINDS[Kind.TOPIC]
        else {each.name for each in wanted.acls if each.kind == acl.kind}
    )
    if acl.pattern == PREFIXED:
        return any(name.startswith(acl.name) for name in names)
    return acl.name == EVERYWHERE or acl.name in names


def _is_a_district(user: str) -> bool:
    return user.startswith(DISTRICT)


def _numbers(quota: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in sorted(quota.items())) or "none"

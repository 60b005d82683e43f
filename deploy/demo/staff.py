"""The made-up people of one district at work: they know what the services' HTTP APIs show them, and nothing else."""

import http.client
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode, urlsplit
from uuid import NAMESPACE_OID, uuid5

from contracts.calendar import local_day
from deploy.demo.families import Families

_SECONDS = 60.0
_LIST = 300
_CONFLICTS = {403, 404, 409, 422}
_LANGUAGES = (["en"], ["en", "es"], ["en", "es"], ["en", "pt"], ["en", "es"], ["en", "ht"], ["en", "pl"], ["en", "es"])
_AFFILIATIONS = ("school", "district", "agency")

HeadersOf = Callable[[str], Mapping[str, str]]


class DoorClosed(Exception):
    """A service said something nobody can work with; the message names the request and the status."""


class Door:
    """One connection to one service, kept open; whoever asks says as whom."""

    def __init__(self, address: str, headers_of: HeadersOf) -> None:
        parts = urlsplit(address)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_SECONDS)
        self._headers_of = headers_of

    def ask(self, person: str, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Send one request and give the status and the JSON answer. Raises DoorClosed on a 5xx."""
        headers = {"Accept": "application/json", "Content-Type": "application/json", **self._headers_of(person)}
        sent = None if body is None else json.dumps(body)
        try:
            answer, said = self._once(method, path, sent, headers)
        except (http.client.HTTPException, OSError):
            self._connection.close()  # a connection kept too long: once more on a new one
            answer, said = self._once(method, path, sent, headers)
        if answer.status >= 500 or answer.status in (400, 401):
            raise DoorClosed(f"{method} {path.partition('?')[0]}: {answer.status} {said[:200]!r}")
        return answer.status, json.loads(said) if said else None

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _once(
        self, method: str, path: str, sent: str | None, headers: Mapping[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        self._connection.request(method, path, body=sent, headers=dict(headers))
        answer = self._connection.getresponse()
        return answer, answer.read()


@dataclass(slots=True)
class Done:
    """What a district's people have done so far."""

    contacts: int = 0
    appointments: int = 0
    logs: int = 0
    visits: int = 0

    def add(self, other: "Done") -> None:
        """Add what others did."""
        self.contacts += other.contacts
        self.appointments += other.appointments
        self.logs += other.logs
        self.visits += other.visits


@dataclass(slots=True, kw_only=True)
class Staff:
    """A district's scheduler, coordinator and visitors. `visited` gets (household key, day) of visits that happened."""

    district: str
    scheduler: str
    coordinator: str
    visitors: list[str]
    schools: list[str]
    desk: Door
    phone: Door
    families: Families
    visited: list[tuple[str, date]] = field(default_factory=list)
    _questions: Counter[tuple[str, str]] = field(default_factory=Counter)

    def register_visitors(self, *, trained_on: date) -> None:
        """Enter the visitors with their training, languages and weekly hours; once is enough."""
        for nth, visitor in enumerate(self.visitors):
            affiliation = _AFFILIATIONS[nth % 3]
            facts = {
                "visitor_id": visitor, "district": self.district, "affiliation": affiliation,
                "school": self.schools[nth % len(self.schools)] if affiliation == "school" else None,
                "languages": _LANGUAGES[nth % len(_LANGUAGES)], "leap101_valid_from": trained_on.isoformat(),
                "leap101_valid_until": (trained_on + timedelta(days=730)).isoformat(), "weekly_cap": 4,
            }  # fmt: skip
            status, answer = self.desk.ask(self.coordinator, "POST", "/v1/visitors", facts)
            if status not in (201, 409):  # 409: registered already
                raise DoorClosed(f"POST /v1/visitors: {status} {answer.get('code')}")

    def work(self, now: datetime, *, contacts: int) -> Done:
        """Do one stretch of work: logs of visits that were, then the most urgent of the queue."""
        done = Done()
        self._write_logs(now, done)
        today = local_day(now, zone=self.families.zone)
        _, answer = self.desk.ask(self.scheduler, "GET", f"/v1/requests?district={self.district}&limit={_LIST}")
        for request in answer["requests"]:
            stage = request["stage"]
            again_on = request["contact_again_on"]
            if stage == "agreed":
                done.appointments += self._appoint(request, today)
            elif stage == "logged" and self.families.is_goal_met(
                request["household_key"], self._questions["contact", request["household_key"]]
            ):
                self._change(request, "closing", {"because": "goal_met"})
            elif (
                stage in ("new", "claimed", "contacting") and contacts > 0 and (not again_on or again_on <= str(today))
            ):
                contacts -= 1
                done.contacts += 1
                done.appointments += self._contact(request, today)
        return done

    def _asked(self, question: str, request: dict[str, Any]) -> int:
        """Count how often a family was asked the same: each time it may answer otherwise, and alike for a seed."""
        self._questions[question, request["household_key"]] += 1
        return self._questions[question, request["household_key"]]

    def _change(self, request: dict[str, Any], what: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """One command on a request; None where the rules or somebody faster were against it."""
        path = f"/v1/requests/{request['request_id']}/{what}"
        status, answer = self.desk.ask(self.scheduler, "POST", path, {"version": request["version"], **body})
        return None if status in _CONFLICTS else answer

    def _contact(self, request: dict[str, Any], today: date) -> bool:
        """One contact with the family; True where a visit was agreed and appointed with it."""
        claimed = self._change(request, "claim", {})
        if claimed is None:
            return False
        attempt = self.families.attempt(claimed["household_key"], self._asked("contact", claimed), today=today)
        body: dict[str, Any] = {"way": attempt.way, "answer": attempt.answer}
        if attempt.contact_again_on is not None:
            body["contact_again_on"] = attempt.contact_again_on.isoformat()
        answered = self._change(claimed, "answer", body)
        if answered is None:
            return False
        if attempt.answer == "not_reached":
            self._change(answered, "closing", {"because": "not_reached"})  # refused until three varied tries were made
        return answered["stage"] == "agreed" and self._appoint(answered, today)

    def _appoint(self, request: dict[str, Any], today: date) -> bool:
        for begins, ends in self.families.times(request["household_key"], self._asked("times", request), today=today):
            window = urlencode({"begins_at": begins.isoformat(), "ends_at": ends.isoformat(), "limit": 1})
            path = f"/v1/requests/{request['request_id']}/pairs?{window}"
            status, found = self.desk.ask(self.scheduler, "GET", path)
            if status != 200 or not found["pairs"]:
                continue
            (proposed,) = found["pairs"]
            place = "community" if request.get("wish") == "community" else "home"
            body = {"starts_at": proposed["starts_at"], "place": place, "pair": proposed["pair"]}
            agreed = self._change(request, "appointment", body)
            if agreed is not None:
                self._change(agreed, "confirmation", {})
                return True
        return False

    def _write_logs(self, now: datetime, done: Done) -> None:
        since, until = (local_day(now - timedelta(days=n), zone=self.families.zone) for n in (30, 0))
        asked = urlencode(
            [("due", "expected"), ("due", "overdue"), ("from", since), ("until", until), ("limit", _LIST)]
        )
        _, answer = self.phone.ask(self.coordinator, "GET", f"/v1/expected-logs?{asked}")
        for visit in answer["visits"]:
            starts_at = datetime.fromisoformat(visit["starts_at"])
            days = self.families.days_until_logged(visit["visit_id"])
            if days is None or not visit["pair"] or starts_at + timedelta(days=days, hours=2) > now:
                continue
            log = self.families.log(
                visit["visit_id"],
                starts_at=starts_at,
                pair=visit["pair"],
                place=visit["place"] or "home",
                language=visit["language"] or "en",
            )
            path = f"/v1/visit-logs/{quote(str(uuid5(NAMESPACE_OID, visit['visit_id'])))}"
            status, _ = self.phone.ask(visit["pair"][0], "PUT", path, log)
            if status in (200, 201):
                done.logs += 1
                if log["outcome"] == "took_place":
                    done.visits += 1
                    self.visited.append((visit["household_key"], local_day(starts_at, zone=self.families.zone)))

"""What a batch of landed records comes to: rolls, rosters, calendars, what goes back, and how many of each."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta, tzinfo

from aiokafka import ConsumerRecord

from contracts.calendar import school_year_of
from contracts.events import Feed
from services.ingest.formats import own
from services.ingest.handlers.contacts import CONTRADICTS, LandedContact
from services.ingest.handlers.forgetting import Forgetting, without
from services.ingest.handlers.messages import Sender
from services.ingest.handlers.returns import Returns
from services.ingest.handlers.source import Source
from services.ingest.handlers.uploads import readable_upload
from services.ingest.rules import attendance, rolls
from services.ingest.rules.allowance import Bucket
from services.ingest.rules.attendance import Identity
from services.ingest.rules.books import NEW, Page
from services.ingest.rules.door import ABSENCES, Door
from services.ingest.rules.forgetting import FORGOTTEN_STUDENT, Memory
from services.ingest.rules.landing import (
    Calendar,
    CompletedRoll,
    DeclaredFeed,
    Enrollment,
    ForgottenHousehold,
    ForgottenStudent,
    Household,
    Landed,
    Mark,
    Mistake,
    PartOfRoll,
    RefusedMark,
    Rejection,
    ReopenedRoll,
    Retraction,
    Roll,
    RollMark,
    mistake_in_parts,
)
from services.ingest.rules.pseudonyms import Districts
from services.ingest.rules.rolls import OpenRoll
from services.ingest.store.feeds import DECLARED, EVERY_SCHOOL, TellsOf, Word
from services.runtime.delivery.publisher import Message

Outgoing = defaultdict[str, defaultdict[int, list[Message]]]
_Forgotten = ForgottenHousehold | ForgottenStudent
_Other = CompletedRoll | ReopenedRoll | DeclaredFeed | Enrollment | Calendar | Household | _Forgotten


class Batch:
    """Takes landed records in, one after the other; `close` gives what is to be published of them.

    `one_by_one` bounds what goes back with a copy each. `pages` say what of each landing partition was counted before:
    it is published again, and counts nothing.
    A mark may move behind marks of other schools and days, and never behind the completion of its own.
    """

    def __init__(
        self,
        districts: Districts,
        *,
        zone: tzinfo,
        moved: timedelta = timedelta(),
        pages: Mapping[tuple[str, int], Page] | None = None,
        one_by_one: Bucket | None = None,
        memories: Mapping[str, Memory] | None = None,
    ) -> None:
        self.accepted: Counter[tuple[str, str]] = Counter()
        self.told_feeds: dict[TellsOf, Word] = {}
        self.returns = Returns(one_by_one)
        self.landed_at_ms: int | None = None
        self.marks_at_hand = 0
        self._counts: Counter[tuple[str, str]] = Counter()
        self._districts = districts
        self._pages = pages or {}
        self.forgetting = Forgetting(memories or {})
        self._zone, self._moved = zone, moved
        self._door = Door.at(0, zone=zone, moved=moved)
        self._sources: dict[tuple[str, int], Source] = {}
        self._known_feeds: dict[str, Mapping[TellsOf, Word]] = {}
        self._outgoing: Outgoing = _nothing()
        self._contacts: list[LandedContact] = []

    def land(self, record: ConsumerRecord, landed: Landed | Rejection) -> str | None:
        """Take in one record, and what it was read as.

        A district's code in return says that the record was not taken in, and may be when `know_feeds` was told how
        that district's schools report: an absence of a day to come is refused on a full feed.
        """
        source = self._sources.get((record.topic, record.partition)) or self._source(record)
        if not self._door.opens_ms <= record.timestamp < self._door.closes_ms:
            self._turn_to(record.timestamp)
        if source.is_read_again:
            source.weigh(record.offset)
        if isinstance(landed, (Mark, Retraction)):
            return self._gather(record, source, landed)
        if isinstance(landed, (Roll, PartOfRoll)):
            return self._land_roll(record, source, landed)
        if isinstance(landed, Rejection):
            self._send_back(record, source, landed)
        else:
            self._land_other(record, source, landed)
        return None

    def know_feeds(self, district: str, feeds: Mapping[TellsOf, Word]) -> None:
        """Be told how a district's schools reported before this batch."""
        self._known_feeds[district] = feeds

    def counts(self) -> Counter[tuple[str, str]]:
        """Count the records landed so far by district and kind."""
        counted = Counter(self._counts)
        for source in self._sources.values():
            counted[source.sender.origin.district, "mark"] += source.marks
        return +counted

    def take_contacts(self) -> list[LandedContact]:
        """Give the contact data that landed since the last time; what of it contradicts goes back before `close`."""
        taken, self._contacts = self._contacts, []
        return taken

    def send_back_contact(self, landed: LandedContact) -> None:
        """Send contact data back that was taken in before it was known that it contradicts its own version."""
        district = landed.sender.origin.district
        self.returns.send_back(landed.record, landed.sender, CONTRADICTS)
        self._counts[district, "roster"] -= landed.weight
        self._counts[district, "rejected"] += landed.weight
        if (receipt := readable_upload(landed.record).receipt) is not None:
            self.accepted[district, receipt] -= landed.weight

    def close(self) -> Outgoing:
        """Give what is to be published, by topic and partition, of what landed since the last time."""
        outgoing, self._outgoing = self._outgoing, _nothing()
        for source in self._sources.values():
            messages = outgoing["rolls"][source.sender.lane]
            for told in source.told:
                if isinstance(told, OpenRoll):
                    written = rolls.tell(told, origin=source.sender.origin)
                    messages.extend(source.sender.roll(*each) for each in written)
                else:
                    messages.append(told)
            source.told = []
            source.close_all()
        outgoing["attendance-rejected"].update(self.returns.take())
        self.marks_at_hand = 0
        return outgoing

    def _source(self, record: ConsumerRecord) -> Source:
        district = self._districts.by_landing_topic[record.topic]
        # Once per topic and batch: its first record is its oldest.
        if self.landed_at_ms is None or record.timestamp < self.landed_at_ms:
            self.landed_at_ms = record.timestamp
        pseudonyms = self._districts.pseudonyms[district]
        page = self._pages.get((record.topic, record.partition), NEW)
        sender = Sender.of(record.topic, record.partition, district=district, pseudonyms=pseudonyms, log=page.log)
        before = record.offset < page.began
        again = before or bool(page.known)
        source = Source(sender, page, is_read_again=again, is_before_books=before)
        self._sources[record.topic, record.partition] = source
        return source

    def _turn_to(self, timestamp_ms: int) -> None:
        """Begin another day: of each roll it is judged once whether its marks may come in."""
        self._door = Door.at(timestamp_ms, zone=self._zone, moved=self._moved)
        for source in self._sources.values():
            source.close_all()

    def _gather(self, record: ConsumerRecord, source: Source, mark: Mark | Retraction) -> str | None:
        roll = source.roll
        if roll is None or roll.school_day != mark.date or roll.school != mark.school:
            roll = source.roll_of(mark.school, mark.date, offset=record.offset)
            roll.unusual = self._door.is_unusual(mark.date)
        if roll.unusual:
            district = source.sender.origin.district
            if mark.date > self._door.today and mark.category in ABSENCES and district not in self._known_feeds:
                return district
            feed = self._feed_of(district, mark.school, mark.date)
            if mistake := self._door.mistake_in_mark(mark.date, category=mark.category, feed=feed):
                self._send_back(record, source, Rejection(*mistake))
                return None
        if forgotten := self.forgetting.students(source.sender.origin.district):
            key = source.sender.origin.pseudonyms.student_key(student=mark.student, state_student=mark.state_student)
            if key in forgotten:
                self._send_back(record, source, FORGOTTEN_STUDENT)
                return None
        if record.headers and (receipt := readable_upload(record).receipt) is not None:
            roll.receipts.setdefault(receipt, []).append(len(roll.marks))
        roll.marks.append(mark)
        roll.landed_at(record.offset)
        roll.last, roll.newest_ms = record.offset, record.timestamp
        if mark.category is None:
            self._counts[source.sender.origin.district, "retraction"] += source.weight
        else:
            source.marks += source.weight
        self.marks_at_hand += 1
        return None

    def _land_roll(self, record: ConsumerRecord, source: Source, landed: Roll | PartOfRoll) -> str | None:
        roll = landed.roll if isinstance(landed, PartOfRoll) else landed
        district = source.sender.origin.district
        if roll.feed is None and roll.date > self._door.today and district not in self._known_feeds:
            return district
        feed = roll.feed or self._feed_of(district, roll.school, roll.date)
        if mistake := self._door.mistake_in_roll(roll.date, complete=roll.complete, feed=feed):
            self._send_back(record, source, Rejection(*mistake))
            return None
        marks, places, refused = self._sift(record, landed, feed)
        if forgotten := self.forgetting.students(district):
            marks, places, refused = without(forgotten, source.sender.origin.pseudonyms, (marks, places, refused))
        for each in refused:
            self.returns.send_back_mark(record, source.sender, each)
        if marks or roll.complete:
            joined = source.roll_of(roll.school, roll.date, offset=record.offset)
            joined.unusual = self._door.is_unusual(roll.date)
            joined.marks.extend(marks)
            joined.landed_in(record.offset, places)
            joined.last, joined.newest_ms = record.offset, record.timestamp
        if roll.complete and roll.feed is not None:
            self._complete(record, source, roll, roll.feed)
        self._counts[district, "roll"] += source.weight
        self._counts[district, "roll_mark"] += source.weight * len(marks)
        self._counts[district, "roll_mark_rejected"] += source.weight * len(refused)
        self.marks_at_hand += len(marks)
        if not refused:
            self._accept(record, source)
        return None

    def _sift(
        self, record: ConsumerRecord, landed: Roll | PartOfRoll, feed: Feed | None
    ) -> tuple[Sequence[RollMark], Sequence[int], Sequence[RefusedMark]]:
        """Part the marks that go on, with their places, from those that go back, each by itself."""
        roll, places, refused = _read(landed)
        marks = roll.marks
        of_one_day = [mark.day_parts for mark in marks] + [mark.present_parts for mark in marks]
        if roll.date <= self._door.today and of_one_day.count(None) == len(of_one_day):
            return marks, places, refused
        kept: list[RollMark] = []
        kept_places: list[int] = []
        sifted = list(refused)
        for mark, place in zip(marks, places, strict=True):
            mistake = mistake_in_parts(mark.present_parts, mark.day_parts) or self._door.mistake_in_mark(
                roll.date, category=mark.category, feed=feed
            )
            if mistake is None:
                kept.append(mark)
                kept_places.append(place)
            else:
                original = own.marks_as_sent(record.value or b"")[place - 1]
                sifted.append(RefusedMark(place, Rejection(*mistake), original))
        return kept, kept_places, sifted

    def _land_other(self, record: ConsumerRecord, source: Source, landed: _Other) -> None:
        if mistake := mistake_of_others(self._door, landed):
            self._send_back(record, source, Rejection(*mistake))
            return
        district = source.sender.origin.district
        if isinstance(landed, CompletedRoll):
            self._complete(record, source, landed, landed.feed)
        elif isinstance(landed, (ReopenedRoll, DeclaredFeed)):
            self._tell_of_rolls(record, source, landed)
        elif isinstance(landed, (ForgottenHousehold, ForgottenStudent)):
            self.forgetting.forget(landed, _identity(record, source), source.sender)
        elif (refusal := self.forgetting.refusal(landed, _identity(record, source), source.sender)) is not None:
            self._send_back(record, source, refusal)
            return
        else:
            self._tell_roster(record, source, landed)
        kind = "roll" if isinstance(landed, (CompletedRoll, ReopenedRoll)) else "roster"
        self._counts[district, kind] += source.weight
        self._accept(record, source)

    def _complete(self, record: ConsumerRecord, source: Source, roll: CompletedRoll | Roll, feed: Feed) -> None:
        completed = source.roll_of(roll.school, roll.date, offset=record.offset)
        completed.completed = attendance.completion(
            feed, roll.version, timestamp_ms=record.timestamp, offset=record.offset
        )
        completed.last, completed.newest_ms = record.offset, record.timestamp
        source.close(roll.school, roll.date)

    def _tell_of_rolls(self, record: ConsumerRecord, source: Source, landed: ReopenedRoll | DeclaredFeed) -> None:
        identity = _identity(record, source)
        fact: attendance.Fact
        if isinstance(landed, ReopenedRoll):
            source.close(landed.school, landed.date)
            fact = attendance.reopened_roll(
                landed, identity=identity, timestamp_ms=record.timestamp, offset=record.offset
            )
        else:
            version = attendance.version_of(record.timestamp) if landed.version is None else landed.version
            fact = attendance.declared_feed(landed, identity=identity, version=version)
            self._hear((identity.district, landed.school or EVERY_SCHOOL, DECLARED), version, landed.feed)
        source.told.append(source.sender.message(fact))

    def _tell_roster(self, record: ConsumerRecord, source: Source, landed: Enrollment | Calendar | Household) -> None:
        identity, pseudonyms = _identity(record, source), source.sender.origin.pseudonyms
        sender = source.sender
        if isinstance(landed, Calendar):
            calendar = attendance.changed_calendar(landed, identity=identity)
            self._outgoing["calendars"][sender.lane].append(sender.message(calendar))
            if landed.track is None:
                self._hear((identity.district, landed.school, landed.school_year), landed.version, landed.feed)
        elif isinstance(landed, Enrollment):
            enrollment = attendance.changed_enrollment(landed, identity=identity, pseudonyms=pseudonyms)
            self._outgoing["rosters"][sender.lane].append(sender.message(enrollment))
        else:
            contact = attendance.changed_contact(landed, identity=identity, pseudonyms=pseudonyms)
            # What it said is known by all that it said, also of whom it named and nobody is to know any more.
            told = LandedContact.of(record, sender, source.weight, contact)
            gone = self.forgetting.students(identity.district)
            contact.students = [each for each in contact.students if each.student_key not in gone]
            self._contacts.append(told)

    def _hear(self, of: TellsOf, version: int, feed: Feed) -> None:
        self.told_feeds[of] = max(Word(version, feed.value), self.told_feeds.get(of, Word(version, feed.value)))

    def _feed_of(self, district: str, school: str, day: date) -> Feed | None:
        """Give how a school reports that day: as it declared, else its district, else as its calendar says.

        What a roll says of itself is said of its day alone.
        """
        known = self._known_feeds.get(district, {})
        of_year = (district, school, school_year_of(day))
        for of in ((district, school, DECLARED), (district, EVERY_SCHOOL, DECLARED), of_year):
            if words := [each for each in (self.told_feeds.get(of), known.get(of)) if each is not None]:
                return Feed(max(words).feed)
        return None

    def _accept(self, record: ConsumerRecord, source: Source) -> None:
        if record.headers and (receipt := readable_upload(record).receipt) is not None:
            self.accepted[source.sender.origin.district, receipt] += source.weight

    def _send_back(self, record: ConsumerRecord, source: Source, rejection: Rejection) -> None:
        if rejection.kept and self.forgetting.names_somebody(record.value, source.sender):
            rejection = Rejection(rejection.reason, rejection.detail, kept=False)
        self.returns.send_back(record, source.sender, rejection)
        self._counts[source.sender.origin.district, "rejected"] += source.weight


def _nothing() -> Outgoing:
    return defaultdict(lambda: defaultdict(list))


def _read(landed: Roll | PartOfRoll) -> tuple[Roll, Sequence[int], Sequence[RefusedMark]]:
    if isinstance(landed, PartOfRoll):
        return landed.roll, landed.places, landed.refused
    return landed, range(1, len(landed.marks) + 1), ()


def _identity(record: ConsumerRecord, source: Source) -> Identity:
    # From the landing position, so a repeat has the same.
    return Identity(
        event_id=source.sender.event_id(record.offset),
        occurred_at=attendance.moment_of(record.timestamp),
        district=source.sender.origin.district,
    )


def mistake_of_others(door: Door, landed: _Other) -> Mistake | None:
    """Say what is wrong on this day with a record that is no mark and no whole roll, or None."""
    match landed:
        case CompletedRoll():
            return door.mistake_in_completion(landed.date)
        case ReopenedRoll():
            return door.mistake_in_day(landed.date)
        case Enrollment():
            return door.mistake_in_enrollment(landed)
        case Calendar():
            return door.mistake_in_calendar(landed)
    return None


def refused_of(door: Door, landed: Landed | Rejection) -> int:
    """Count what of a record goes back on this day, as far as that can be told without knowing the school's feed."""
    if isinstance(landed, Rejection):
        return 1
    if isinstance(landed, (Mark, Retraction)):
        return int(door.mistake_in_mark(landed.date, category=landed.category, feed=None) is not None)
    if isinstance(landed, (Roll, PartOfRoll)):
        roll, _, refused = _read(landed)
        if door.mistake_in_roll(roll.date, complete=roll.complete, feed=roll.feed):
            return max(1, len(roll.marks) + len(refused))
        return len(refused)
    return int(mistake_of_others(door, landed) is not None)

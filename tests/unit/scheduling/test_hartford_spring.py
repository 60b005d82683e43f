"""The fixture of the first spring says what was published, and nothing that can't be."""

from collections import Counter
from datetime import datetime, timedelta

from contracts import events
from contracts.topics import TOPIC_BY_NAME
from tests.hartford_spring import ELSEWHERE, HARTFORD, hartford_spring, households_of


def test_hartford_made_210_of_420_visits_with_30_trained_the_most() -> None:
    spring = [happened.event for happened in hartford_spring()]
    completed = Counter(event.district for event in spring if isinstance(event, events.VisitCompleted))
    trained = Counter(event.district for event in spring if isinstance(event, events.VisitorChanged))
    assert (completed[HARTFORD], completed.total(), len(completed)) == (210, 420, 15)
    assert (trained[HARTFORD], max(trained[district] for district in ELSEWHERE)) == (30, 14)
    requested = Counter(event.district for event in spring if isinstance(event, events.VisitRequested))
    assert requested[HARTFORD] == households_of(HARTFORD) == 150
    assert (
        sum(event.follow_up for event in spring if isinstance(event, events.VisitScheduled)) == 420 - requested.total()
    )


def test_each_event_is_on_its_topic_once_and_a_households_events_are_in_order() -> None:
    spring = hartford_spring()
    assert len({happened.event.event_id for happened in spring}) == len(spring)
    assert all(type(happened.event) in TOPIC_BY_NAME[happened.topic].events for happened in spring)
    versions: dict[str, int] = {}
    for happened in spring:
        if happened.topic == "home-visits":
            assert isinstance(happened.event, events.VisitRequested | events.VisitScheduled)
            assert happened.event.version > versions.get(happened.key, 0)
            versions[happened.key] = happened.event.version


def test_no_visitor_of_the_spring_is_in_two_places_at_once() -> None:
    free_at: dict[str, datetime] = {}
    visits = [h.event for h in hartford_spring() if isinstance(h.event, events.VisitCompleted)]
    assert {who for visit in visits for who in visit.pair if visit.district == HARTFORD} == {
        f"hartford-{number:02}" for number in range(30)
    }
    for visit in sorted(visits, key=lambda visit: visit.started_at):
        for who in visit.pair:
            assert visit.started_at >= free_at.get(who, visit.started_at)
            free_at[who] = visit.ended_at + timedelta(minutes=30)

"""Quix Streams with its state in RocksDB and a changelog topic: the same rule on the same topic.

`python quix.py BOOTSTRAP TOPIC MARKS CROSSINGS`, in an environment of its own; the crossings go to the topic CROSSINGS.
"""

import json
import sys

from quixstreams import Application

BOOTSTRAP, TOPIC, MARKS, CROSSINGS = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
ABSENT = {"excused_absence", "unexcused_absence", "mental_health_day", "out_of_school_suspension", "expulsion"}

app = Application(
    broker_address=BOOTSTRAP,
    consumer_group=f"quix-{CROSSINGS}",
    auto_offset_reset="earliest",
    state_dir="state",
    use_changelog_topics=True,
    loglevel="ERROR",
    commit_interval=5.0,
    consumer_extra_config={"fetch.wait.max.ms": 100},
)


class Took:
    marks = 0


def say(**what):
    print(json.dumps(what), flush=True)


def is_absent(mark):
    present_parts, day_parts = mark.get("present_parts"), mark.get("day_parts")
    if present_parts is not None and day_parts is not None:
        return 2 * present_parts < day_parts
    return mark["category"] in ABSENT


def apply(mark, state):
    if not Took.marks:
        say(said="began")
    Took.marks += 1
    if Took.marks == MARKS:
        app.stop()
    place = f"{mark['school']}/{mark['school_day']}"
    known = state.get(place)
    version = mark["source_version"]
    if known is not None and known[0] >= version:
        return None
    absent = is_absent(mark)
    figures = state.get("figures") or [0, 0, False]
    figures[0] += known is None
    figures[1] += absent - (known[1] if known else False)
    state.set(place, [version, absent])
    chronic = figures[0] >= 10 and 10 * figures[1] >= figures[0]
    crossed, figures[2] = chronic != figures[2], chronic
    state.set("figures", figures)
    if not crossed:
        return None
    return {"student_key": mark["student_key"], "chronic": chronic, "figures": figures[:2]}


marks = app.dataframe(app.topic(TOPIC, value_deserializer="json"))
flags = marks.apply(apply, stateful=True).filter(lambda flag: flag is not None)
flags.to_topic(app.topic(CROSSINGS, value_serializer="json"))
app.run()
# Stopped, it has committed: the state, the crossings and how far it came are with the broker.
say(said="done", marks=Took.marks)
sys.stdin.read()  # the benchmark reads its clocks

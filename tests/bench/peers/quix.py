"""Quix Streams with its state in RocksDB and a changelog topic: the same rule on the same topic.

`python quix.py BOOTSTRAP TOPIC MARKS CROSSINGS WARM_UP LAYOUT`, in an environment of its own; the crossings go to the
topic CROSSINGS. It needs no warming up. LAYOUT is how rolls are kept: one value for a student's year, or for 64.
"""

import json
import sys

from quixstreams import Application

BOOTSTRAP, TOPIC, MARKS, CROSSINGS, _, LAYOUT = sys.argv[1:7]
MARKS = int(MARKS)
ABSENT = {"excused_absence", "unexcused_absence", "mental_health_day", "out_of_school_suspension", "expulsion"}
ABSENT_LETTERS = "hijkl"
PAGES = 8  # of a school of 500: about 64 students each

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


def took(marks):
    if not Took.marks:
        say(said="began")
    Took.marks += marks
    if Took.marks >= MARKS:
        app.stop()


def is_absent(mark):
    present_parts, day_parts = mark.get("present_parts"), mark.get("day_parts")
    if present_parts is not None and day_parts is not None:
        return 2 * present_parts < day_parts
    return mark["category"] in ABSENT


def crossed_by(figures, known, absent):
    """Bring days enrolled and absent up to a mark, and say whether it crossed the line."""
    figures[0] += known is None
    figures[1] += absent - (known[1] if known else False)
    chronic = figures[0] >= 10 and 10 * figures[1] >= figures[0]
    crossed, figures[2] = chronic != figures[2], chronic
    return crossed


def apply_mark(mark, state):
    """One mark, of `attendance` or as the district landed it: a value for each day, and one for the figures."""
    took(1)
    if "school_day" in mark:
        student, day, version = mark["student_key"], mark["school_day"], mark["source_version"]
    elif mark["type"] == "mark":
        student, day, version = mark["student"], mark["date"], mark["version"]
    else:
        return []
    place = f"{mark['school']}/{day}"
    known = state.get(place)
    if known is not None and known[0] >= version:
        return []
    absent = is_absent(mark)
    figures = state.get("figures") or [0, 0, False]
    state.set(place, [version, absent])
    crossed = crossed_by(figures, known, absent)
    state.set("figures", figures)
    return [{"student_key": student, "chronic": figures[2], "figures": figures[:2]}] if crossed else []


def apply_roll(roll, state):
    """A roll: a value for each student's year, or for each page of about 64 students."""
    students, versions, parts = roll["students"], roll["versions"], roll.get("parts")
    took(len(students))
    day, values, told = f"{roll['school']}/{roll['school_day']}", {}, []
    for at, (student, letter) in enumerate(zip(students, roll["categories"], strict=True)):
        key = student if LAYOUT == "student" else f"{roll['school']}#{int(student[0], 16) % PAGES}"
        value = values.get(key)
        if value is None:
            value = values[key] = state.get(key) or {}
        year = value.setdefault(student, {"figures": [0, 0, False], "days": {}})
        version = versions[at] if isinstance(versions, list) else versions
        known = year["days"].get(day)
        if known is not None and known[0] >= version:
            continue
        part = parts[at] if parts else None
        absent = 2 * part[0] < part[1] if part and letter != "x" else letter in ABSENT_LETTERS
        year["days"][day] = [version, absent]
        if crossed_by(year["figures"], known, absent):
            told.append({"student_key": student, "chronic": year["figures"][2], "figures": year["figures"][:2]})
    for key, value in values.items():
        state.set(key, value)
    return told


records = app.dataframe(app.topic(TOPIC, value_deserializer="json"))
flags = records.apply(apply_roll if TOPIC == "rolls" else apply_mark, stateful=True, expand=True)
flags.to_topic(app.topic(CROSSINGS, value_serializer="json"))
app.run()
# Stopped, it has committed: the state, the crossings and how far it came are with the broker.
say(said="done", marks=Took.marks)
sys.stdin.read()  # the benchmark reads its clocks

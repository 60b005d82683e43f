"""Quix Streams with its state in RocksDB and a changelog topic: the same rule on the same topic.

`python quix.py BOOTSTRAP TOPIC MARKS`, in an environment of its own.
"""

import json
import sys
import tempfile
import time
import uuid

from quixstreams import Application

BOOTSTRAP, TOPIC, MARKS = sys.argv[1], sys.argv[2], int(sys.argv[3])
ABSENT = {"excused_absence", "unexcused_absence", "mental_health_day", "out_of_school_suspension", "expulsion"}

run = uuid.uuid4().hex[:8]
app = Application(
    broker_address=BOOTSTRAP,
    consumer_group=f"quix-{run}",
    auto_offset_reset="earliest",
    state_dir=tempfile.mkdtemp(prefix="quix-", dir="."),
    use_changelog_topics=True,
    loglevel="ERROR",
    commit_interval=5.0,
    consumer_extra_config={"fetch.wait.max.ms": 100},
)


class Took:
    marks = crossings = 0
    began = cpu_began = seconds = cpu_seconds = 0.0


def apply(mark, state):
    if not Took.marks:
        Took.began, Took.cpu_began = time.perf_counter(), time.process_time()
    Took.marks += 1
    if Took.marks == MARKS:
        Took.seconds, Took.cpu_seconds = time.perf_counter() - Took.began, time.process_time() - Took.cpu_began
        app.stop()
    place = f"{mark['school']}/{mark['school_day']}"
    known = state.get(place)
    version = mark["source_version"]
    if known is not None and known[0] >= version:
        return None
    absent = mark["category"] in ABSENT
    figures = state.get("figures") or [0, 0, False]
    figures[0] += known is None
    figures[1] += absent - (known[1] if known else False)
    state.set(place, [version, absent])
    chronic = figures[0] >= 10 and 10 * figures[1] >= figures[0]
    crossed, figures[2] = chronic != figures[2], chronic
    state.set("figures", figures)
    if not crossed:
        return None
    Took.crossings += 1
    return {"student_key": mark["student_key"], "chronic": chronic, "figures": figures[:2]}


marks = app.dataframe(app.topic(TOPIC, value_deserializer="json"))
flags = marks.apply(apply, stateful=True).filter(lambda flag: flag is not None)
flags.to_topic(app.topic(f"quix-flags-{run}", value_serializer="json"))
app.run()
print(
    json.dumps(
        {
            "marks": Took.marks,
            "crossings": Took.crossings,
            "seconds": Took.seconds,
            "cpu_seconds": Took.cpu_seconds,
        }
    )
)

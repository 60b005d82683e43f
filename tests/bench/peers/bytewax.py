"""Bytewax with its state in memory, no recovery store: the same rule on the same topic.

`python bytewax.py BOOTSTRAP TOPIC MARKS`, in an environment of its own.
"""

import sys

sys.path.pop(0)  # or this file would be the package it imports

import json
import os
import time

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.run import cli_main
from bytewax.testing import TestingSink

BOOTSTRAP, TOPIC, MARKS = sys.argv[1], sys.argv[2], int(sys.argv[3])
ABSENT = {"excused_absence", "unexcused_absence", "mental_health_day", "out_of_school_suspension", "expulsion"}


class Took:
    marks = crossings = 0
    began = cpu_began = 0.0


def decode(message):
    if not Took.began:
        Took.began, Took.cpu_began = time.perf_counter(), time.process_time()
    return message.key.decode(), json.loads(message.value)


def apply(state, mark):
    Took.marks += 1
    if state is None:
        state = {"marks": {}, "absent": 0, "chronic": False}
    place = (mark["school"], mark["school_day"])
    known = state["marks"].get(place)
    version, flag = mark["source_version"], None
    if known is None or known[0] < version:
        absent = mark["category"] in ABSENT
        state["absent"] += absent - (known[1] if known else False)
        state["marks"][place] = (version, absent)
        enrolled = len(state["marks"])
        chronic = enrolled >= 10 and 10 * state["absent"] >= enrolled
        if chronic != state["chronic"]:
            state["chronic"] = flag = chronic
            Took.crossings += 1
    if Took.marks == MARKS:
        took = {"seconds": time.perf_counter() - Took.began, "cpu_seconds": time.process_time() - Took.cpu_began}
        print(json.dumps({"marks": Took.marks, "crossings": Took.crossings, **took}), flush=True)
        os._exit(0)  # a Kafka source never ends by itself
    return state, flag


flow = Dataflow("marks")
source = KafkaSource([BOOTSTRAP], [TOPIC], batch_size=2_000, add_config={"fetch.wait.max.ms": "100"})
marks = op.map("decode", op.input("in", flow, source), decode)
flags = op.filter("crossed", op.stateful_map("apply", marks, apply), lambda keyed: keyed[1] is not None)
op.output("out", flags, TestingSink([]))
cli_main(flow)

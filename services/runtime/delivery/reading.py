"""How much is read at once: so many records, and of large ones fewer, so that a batch has its place in memory."""

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

BATCH_BYTES = 4 << 20
RECORDS_AT_A_TIME = 64
"""A batch is larger than its bytes by so many records at most."""


async def read_batch(
    consumer: AIOKafkaConsumer, *partitions: TopicPartition, timeout_ms: int, max_records: int
) -> dict[TopicPartition, list[ConsumerRecord]]:
    """Read what is there of the partitions (none named: of all), each one's in order.

    Waits for the first record only. Raises KafkaError, and UnicodeDecodeError where a header's name is not UTF-8; what
    was read before it is read again.
    """
    read: dict[TopicPartition, list[ConsumerRecord]] = {}
    room, records = BATCH_BYTES, 0
    try:
        while room > 0 and records < max_records:
            wanted = min(RECORDS_AT_A_TIME, max_records - records)
            more = await consumer.getmany(*partitions, timeout_ms=0 if read else timeout_ms, max_records=wanted)
            for partition, run in more.items():
                before = read.setdefault(partition, run)
                if before is not run and run[0].offset <= before[-1].offset:
                    read[partition] = run  # sought anew meanwhile: these are the same records once more
                elif before is not run:
                    before += run
                room -= sum(len(each.value or b"") for each in run)
            found = sum(map(len, more.values()))
            records += found
            if found < wanted:
                break
    except BaseException:
        for partition, run in read.items():
            if partition in consumer.assignment():
                consumer.seek(partition, run[0].offset)
        raise
    return read

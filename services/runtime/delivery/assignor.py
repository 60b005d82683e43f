"""How the topics of a pattern are shared out among the members of a group: evenly."""

from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor


class EvenAssignor(RoundRobinPartitionAssignor):  # type: ignore[misc]
    """Gives each member as many partitions as any other. By range, all topics of one partition go to the first.

    Under the name that members of before answer to: one of each can be in a group, so that a rolling upgrade never has
    two halves that can't agree. Whoever leads the group decides how; what each is given, all understand alike.
    """

    name = "range"

"""The engine of the proof, as far as that goes without starting it."""

from pathlib import Path

from deploy.containers.engine import Engine

MOST_BYTES = 107
"""What the kernel takes for the path of a socket."""


def test_its_socket_can_be_served_however_deep_the_checkout_lies_and_goes_with_it(tmp_path: Path) -> None:
    deep = tmp_path / ("a folder with a long name " * 4)
    made = Engine(deep)

    assert len(bytes(deep)) > MOST_BYTES
    assert len(bytes(made.socket)) <= MOST_BYTES
    assert made.socket.parent.is_dir()
    made.stop()
    assert not made.socket.parent.exists()

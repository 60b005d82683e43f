from uuid import UUID

import pytest

from services.runtime.delivery.publisher import cloud_event_headers, partition_of


def test_the_leading_bits_of_a_uuid_choose_the_partition() -> None:
    assert partition_of("00000d0a-0000-4000-8000-000000000000", 24) == 0x00000D % 24
    assert partition_of(str(UUID(int=2**128 - 1)), 24) == 0xFFFFFF % 24


@pytest.mark.parametrize("key", ["hartford", "", "12_456", " 1234ff", "+12345", "１２３４５６", "abc"])
def test_any_other_text_chooses_one_too_and_always_the_same(key: str) -> None:
    assert partition_of(key, 24) == partition_of(key, 24)
    assert 0 <= partition_of(key, 24) < 24


def test_a_hundred_thousand_keys_spread_evenly() -> None:
    counts = [0] * 24
    for number in range(100_000):
        counts[partition_of(f"{number * 2654435761 % 2**32:08x}-x", 24)] += 1
    assert min(counts) > 3_500


def test_the_headers_are_a_cloud_event() -> None:
    assert dict(cloud_event_headers(event_id="1", event_type="a.v1", source="s")) == {
        "ce_specversion": b"1.0",
        "ce_id": b"1",
        "ce_type": b"a.v1",
        "ce_source": b"s",
        "content-type": b"application/json",
    }

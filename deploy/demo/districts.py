"""The fifteen LEAP districts: published sizes and shares (2019-20), and the feed each one is imagined to have."""

from dataclasses import dataclass
from typing import Literal

Reporting = Literal["exceptions", "full"]
Sending = Literal["rolls", "marks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class District:
    """One district. The figures are published, in percent; the rest, and all below the district, is invented.

    `sends`: a school's day as one roll, or mark by mark and then that the roll is complete.
    """

    code: str
    name: str
    students: int
    chronic_percent: float
    english_learners_percent: float
    disabilities_percent: float
    free_meals_percent: float
    latitude: float
    longitude: float
    feed: Reporting = "exceptions"
    sends: Sending = "rolls"


def _district(
    name: str, students: int, *figures: float, feed: Reporting = "exceptions", sends: Sending = "rolls"
) -> District:
    chronic, learners, disabilities, meals, latitude, longitude = figures
    return District(
        code=name.lower().replace(" ", "-"),
        name=name,
        students=students,
        chronic_percent=chronic,
        english_learners_percent=learners,
        disabilities_percent=disabilities,
        free_meals_percent=meals,
        latitude=latitude,
        longitude=longitude,
        feed=feed,
        sends=sends,
    )


DISTRICTS = (
    _district("Bridgeport", 19_411, 19.7, 21.9, 18.7, 66.3, 41.1812, -73.1943),
    _district("CREC", 7_594, 20.5, 8.4, 20.2, 54.8, 41.7602, -72.6678, feed="full"),
    _district("Danbury", 11_752, 10.9, 29.6, 12.6, 45.7, 41.4074, -73.4278, sends="marks"),
    _district("East Hartford", 6_545, 15.2, 14.6, 21.0, 56.2, 41.7738, -72.6430),
    _district("Hartford", 17_324, 27.9, 23.4, 20.8, 81.7, 41.7488, -72.6739),
    _district("Manchester", 6_015, 19.2, 7.6, 15.9, 55.0, 41.7962, -72.5249, feed="full"),
    _district("Meriden", 8_074, 13.6, 17.2, 20.2, 66.4, 41.5360, -72.7971, sends="marks"),
    _district("New Britain", 9_732, 23.4, 18.3, 20.7, 80.0, 41.6699, -72.7809),
    _district("New Haven", 19_279, 21.1, 19.2, 16.2, 67.0, 41.2984, -72.9273),
    _district("New London", 3_375, 15.4, 24.5, 17.9, 73.4, 41.3585, -72.1061, feed="full", sends="marks"),
    _district("Norwich", 3_290, 13.4, 20.2, 18.9, 59.8, 41.5507, -72.0956),
    _district("Stamford", 16_310, 14.0, 15.0, 14.4, 49.2, 41.0508, -73.5416),
    _district("Torrington", 3_818, 14.6, 10.6, 18.5, 58.5, 41.8114, -73.1307, feed="full"),
    _district("Waterbury", 17_981, 21.0, 17.0, 19.2, 80.2, 41.5565, -73.0435, sends="marks"),
    _district("Windham", 3_059, 17.7, 30.8, 19.2, 68.3, 41.7235, -72.2162),
)
"""Source: the state's published tables for 2019-20, K-12."""

DISTRICT_BY_CODE = {district.code: district for district in DISTRICTS}

CHRONIC_PERCENT_BY_GRADE = {
    "K": 14.4,
    "1": 11.3,
    "2": 9.5,
    "3": 8.6,
    "4": 8.5,
    "5": 8.6,
    "6": 9.4,
    "7": 11.2,
    "8": 12.2,
    "9": 15.1,
    "10": 14.9,
    "11": 15.0,
    "12": 19.0,
}
"""State, 2019-20: who is often absent differs by grade."""

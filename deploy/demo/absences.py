"""How often who is absent: two Betas, Fridays and spells, calibrated so that a district ends at its published share.

Most students are absent at a rate drawn from Beta(mean 0.055 to 0.065, k = 45), some from Beta(mean 0.30, k = 8).
How many "some" are is solved per district. The Betas describe a year as it turned out; the chance of single days
widens a spread by itself, so the rates behind them are drawn that much narrower.
"""

import math
import random
from collections.abc import Iterator

OFTEN_MEAN, OFTEN_K = 0.30, 8.0
SELDOM_MEAN, SELDOM_K = (0.055, 0.065), 45.0
SPELL = 0.3
"""Correlation of one school day's absence with the day before: illness comes in spells."""
FRIDAY_POINTS = 0.015
VISITED = 0.65
"""The planted effect: from the day after the first visit on a child of the household is absent this much as often."""
_TYPICAL_RATE = 0.06
_DAYS = 180
TAKEN_BACK = 0.015
"""Share of absences that turn out to have been mistakes; without it a year would end below its line."""
_LINE = 0.10 / (1 - TAKEN_BACK)
_STEPS = 400
_INDEPENDENT_DAYS = _DAYS * (1 - SPELL) / (1 + SPELL)


def draw_rates(*, weights: list[float], chronic_share: float, rng: random.Random) -> list[float]:
    """Draw one yearly rate of absence per student; a larger weight makes *often* more likely.

    The number of often absent students is exact and the rates are stratified, because a small state must still look
    like its districts.
    """
    mean = seldom_mean(chronic_share=chronic_share)
    often = round(len(weights) * often_share(chronic_share=chronic_share))
    # Weighted sampling without replacement: the smallest of u ** (1 / weight) are left out.
    luck = [rng.random() ** (1.0 / weight) for weight in weights]
    chosen = set(sorted(range(len(weights)), key=luck.__getitem__, reverse=True)[:often])
    rates_often = _stratified(often, mean=OFTEN_MEAN, k=OFTEN_K, rng=rng)
    rates_seldom = _stratified(len(weights) - often, mean=mean, k=SELDOM_K, rng=rng)
    return [rates_often.pop() if nth in chosen else rates_seldom.pop() for nth in range(len(weights))]


def seldom_mean(*, chronic_share: float) -> float:
    """Place the ordinary students' mean rate between 0.055 and 0.065, higher where more are chronic."""
    low, high = SELDOM_MEAN
    return low + (high - low) * min(1.0, max(0.0, (chronic_share - 0.10) / 0.18))


def often_share(*, chronic_share: float) -> float:
    """Solve which share of often absent students gives `chronic_share` after a full year."""
    seldom = probability_chronic(mean=seldom_mean(chronic_share=chronic_share), k=SELDOM_K)
    often = probability_chronic(mean=OFTEN_MEAN, k=OFTEN_K)
    return min(1.0, max(0.0, (chronic_share - seldom) / (often - seldom)))


def probability_chronic(*, mean: float, k: float) -> float:
    """Integrate, over the rates behind a year like Beta(mean, k), the chance to miss a tenth of 180 days."""
    total = 0.0
    for rate, density in _densities(mean=mean, k=k):
        spread = math.sqrt(rate * (1 - rate) / _INDEPENDENT_DAYS)
        reach = (rate - _LINE + 0.5 / _DAYS) / spread
        total += density * 0.5 * math.erfc(-reach / math.sqrt(2))
    return total


def chances_of_absence(*, rate: float) -> tuple[float, float, float, float]:
    """Give the chance to be absent today, by `absent yesterday + 2 * today is Friday`, averaging `rate`.

    Fridays take 1.5 points from the other four days, more for those often absent.
    """
    friday = FRIDAY_POINTS * min(3.0, rate / _TYPICAL_RATE)
    other_days = min(0.98, max(0.0, rate - friday * 0.2))
    fridays = min(0.98, max(0.0, rate + friday * 0.8))
    return (
        other_days * (1 - SPELL),
        other_days + SPELL * (1 - other_days),
        fridays * (1 - SPELL),
        fridays + SPELL * (1 - fridays),
    )


def _stratified(count: int, *, mean: float, k: float, rng: random.Random) -> list[float]:
    """One rate from each of `count` equally likely slices of the distribution, in random order."""
    rates, reached = [], 0.0
    steps = _densities(mean=mean, k=k)
    rate, density = next(steps)
    for nth in range(count):
        quantile = (nth + rng.random()) / count
        while reached + density < quantile and rate + 1 / _STEPS < 1:
            reached += density
            rate, density = next(steps)
        rates.append(rate + (min(1.0, (quantile - reached) / density) - 0.5) / _STEPS)
    rng.shuffle(rates)
    return rates


def _densities(*, mean: float, k: float) -> Iterator[tuple[float, float]]:
    """Rates in `_STEPS` steps with their probabilities, such that a year at them has Beta(mean, k)'s variance."""
    narrower = k / (1 - (k + 1) / _INDEPENDENT_DAYS)
    alpha, beta = mean * narrower, (1 - mean) * narrower
    log_norm = math.lgamma(alpha + beta) - math.lgamma(alpha) - math.lgamma(beta)
    for step in range(_STEPS):
        rate = (step + 0.5) / _STEPS
        log_density = log_norm + (alpha - 1) * math.log(rate) + (beta - 1) * math.log(1 - rate)
        yield rate, math.exp(log_density) / _STEPS

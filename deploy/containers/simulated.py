"""The simulated state as a container: its school year until today, and on from there, a day every twenty seconds."""

import os
import sys
from datetime import datetime

from deploy.commands.life import SECONDS_PER_DAY
from deploy.demo.calendars import latest_day_worth_replaying
from services.runtime.settings import zone_from


def main() -> None:
    """Become the simulated state's own process, so that it is the one that is told to stop."""
    until = latest_day_worth_replaying(datetime.now(zone_from()).date())
    words = {
        "scale": os.environ["SIMULATED_SCALE"],
        "seed": os.environ["SIMULATED_SEED"],
        "until": until.isoformat(),
        "seconds-per-day": str(SECONDS_PER_DAY),
    }
    given = [f"--{name}={word}" for name, word in words.items()]
    os.execv(sys.executable, [sys.executable, "-m", "deploy.commands.life", *given])


if __name__ == "__main__":
    main()

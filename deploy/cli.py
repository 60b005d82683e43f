"""`leap`: the whole system on one machine.

Exit codes: 0 well, 1 not well (it does not add up, a row was rejected, a part failed), 2 wrong arguments,
3 nothing runs here, 4 something is missing on this machine, 130 interrupted.
"""

import argparse
import logging
import sys
from collections.abc import Callable

import structlog

from deploy.arguments import parser
from deploy.commands.screen import Screen

WELL, NOT_WELL, NOT_RUNNING, MISSING, INTERRUPTED = 0, 1, 3, 4, 130


def main() -> None:
    """Run the command and end with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(words: list[str]) -> int:
    """Run one command and return its exit code; what went wrong is one line on standard error."""
    import asyncpg

    from deploy.audit.logs import LogSilent
    from deploy.commands.backup import BackupRefused
    from deploy.commands.districts import DistrictUnknown
    from deploy.commands.ending import NotEnded
    from deploy.commands.forget import NotForgotten
    from deploy.commands.http_client import Refused
    from deploy.commands.kafka import NotAUser
    from deploy.commands.logs import LogMissing
    from deploy.commands.people import PeopleRefused
    from deploy.commands.policy import NotAPolicy
    from deploy.commands.position import PositionRefused
    from deploy.commands.push import FileRefused
    from deploy.commands.state import NotRunning
    from deploy.commands.story import StoryStuck
    from deploy.commands.trace import NothingToTrace
    from deploy.commands.why import NobodyFound
    from deploy.demo.staff import DoorClosed
    from deploy.local.parts import PartFailed, PartMissing
    from services.runtime.broker_access import AccessRefused
    from services.runtime.settings import SettingsRejected

    # What a service says in its log while it does something here, of a migration, say, would stand in the answer.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    # aiokafka warns of every retry while fresh topics elect their leaders; what matters reaches the screen anyway.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    arguments = parser(__doc__).parse_args(words)
    screen = Screen(as_json=arguments.json)
    chosen: Callable[[argparse.Namespace, Screen], int] = arguments.run
    try:
        return chosen(arguments, screen)
    except NotRunning as error:
        return _complain(error, NOT_RUNNING)
    except PartMissing as error:
        return _complain(error, MISSING)
    except (
        PartFailed,
        BackupRefused,
        Refused,
        DistrictUnknown,
        FileRefused,
        NobodyFound,
        LogMissing,
        NotAUser,
        NotAPolicy,
        PeopleRefused,
        PositionRefused,
        LogSilent,
        StoryStuck,
        NothingToTrace,
        NotForgotten,
        NotEnded,
        DoorClosed,
        SettingsRejected,
        AccessRefused,
    ) as error:
        return _complain(error, NOT_WELL)
    except asyncpg.UndefinedTableError as error:
        # No table of a service's: it was dropped, or never laid out. The message names the table.
        lost = f"{error}. Where a service's tables are lost: deploy/RESTORE.md, `leap restore FOLDER --only SERVICE`"
        return _complain(PartFailed(lost), NOT_WELL)
    except PermissionError as error:
        return _complain(error, NOT_WELL)  # it names the file; often root ran `leap` here before
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return WELL


def _complain(error: Exception, exit_code: int) -> int:
    print(f"leap: {error}", file=sys.stderr)
    return exit_code


if __name__ == "__main__":
    main()

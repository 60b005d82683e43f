"""The words of `leap`: each command's arguments, and what is called with them, imported only where it is called."""

import argparse
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

from contracts.services import SERVICES
from deploy.commands.screen import Screen


def parser(described: str) -> argparse.ArgumentParser:
    """Describe the commands; the first paragraph says of what, the rest stands behind them."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="the result as JSON on standard output")
    first, _, rest = described.partition("\n\n")
    whole = argparse.ArgumentParser(prog="leap", description=first, epilog=rest)
    commands = whole.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, described: str, run: Callable[[argparse.Namespace, Screen], int]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=described, description=described, parents=[common])
        added.set_defaults(run=run)
        return added

    up = command("up", "start everything, replay the simulated state", _up)
    up.add_argument("--scale", type=_scale, default=0.05, help="share of the real number of students (0.05)")
    up.add_argument("--seed", type=int, default=1)
    up.add_argument("--until", type=date.fromisoformat, help="the last day that is replayed (today)")
    up.add_argument("--still", action="store_true", help="the simulated state ends at its last replayed day")
    up.add_argument("--no-demo", action="store_true", help="start empty")
    up.add_argument("--observe", action="store_true", help="and Prometheus and Alertmanager, with all rules")

    down = command("down", "stop everything, keep what was stored", _down)
    down.add_argument("--purge", action="store_true", help="and remove what was stored")

    command("status", "what runs, what waits, and whether every record is accounted for", _status)
    command("doctor", "what this machine has and lacks", _doctor)

    logs = command("logs", "the ends of the logs", _logs)
    logs.add_argument("service", nargs="?", help="one service, or kafka or postgres; else all")
    logs.add_argument("-n", "--lines", type=int, default=20)
    logs.add_argument("-f", "--follow", action="store_true")

    push = command("push", "a district's file through ingest's HTTP door", _push)
    push.add_argument("file", type=Path, help="our NDJSON or CSV, or Ed-Fi studentSchoolAttendanceEvents (CSV, JSON)")
    push.add_argument("--district", default="sandbox")
    push.add_argument("--sessions", type=Path, help="the sessions of an Ed-Fi file (else the only one beside it)")

    absent = command("absent", "mark students absent who are close to the line", _absent)
    absent.add_argument("district")
    absent.add_argument("students", type=int)

    why = command("why", "why is this student here?", _why)
    why.add_argument("key", help="a student key or how it begins")

    answer = command("answer", "what is held of a family and who read it, in their language, to hand over", _answer)
    answer.add_argument("household", help="the household's key, or with --name a parent's whole name")
    answer.add_argument("--name", action="store_true", help="find the household by a parent's whole name")
    answer.add_argument("--language", choices=["en", "es"], help="another language than the family's own")
    answer.add_argument("--page", type=Path, metavar="FILE", help="an HTML page to print instead of text")

    trace = command("trace", "where what a district sent has ended", _trace)
    trace.add_argument("district")
    trace.add_argument(
        "what", metavar="[PARTITION/]OFFSET|DATE", help="an offset of its landing topic (partition 0), or a school day"
    )
    trace.add_argument("school", nargs="?", help="(of a day: all)")

    policy = command("policy", "a district's one policy: what flags, the desk and the visit log go by", _policy)
    policy.add_argument(
        "action", choices=["show", "set", "carry"], help="carry: tell what the release before kept apart"
    )
    policy.add_argument("district", nargs="?", help="(carry: all)")
    policy.add_argument("changes", nargs="*", metavar="FIELD=VALUE", help="such as absence.min_enrolled_days=15")
    policy.add_argument("--from", dest="effective_from", help="a school day; else the first that is not over")

    district = command(
        "district", "whether what is computed for a district is told; or the end of its contract", _district
    )
    district.add_argument("status", choices=["rehearsal", "live", "paused", "end"])
    district.add_argument("district")
    district.add_argument(
        "--into", type=Path, help="(end) folder for the export and the certificate; given again it goes on"
    )
    district.add_argument("--dry-run", action="store_true", help="(end) export and count, erase nothing")

    forget = command("forget", "let a household or a child be forgotten: list what goes, then let it go", _forget)
    forget.add_argument("district")
    forget.add_argument("kind", choices=["household", "student"])
    forget.add_argument("number", help="the district's number of it; - reads it from standard input")
    forget.add_argument("--state-number", help="(student) the state's number too: marks may come with either")
    forget.add_argument("--version", type=int, help="up to which nothing comes back (the newest that is known)")
    forget.add_argument(
        "--figures", choices=["kept", "erased"], help="flags and counts (as the district's policy says)"
    )
    forget.add_argument("--dry-run", action="store_true", help="list what would go, by service and kind")

    let_go = command("retention", "what was deleted because it was too old: when, whose, by which rule", _retention)
    let_go.add_argument("--csv", action="store_true")

    retell = command(
        "retell", "tell all that stands of a district again: after flagging's database was restored", _retell
    )
    whose = retell.add_mutually_exclusive_group(required=True)
    whose.add_argument("district", nargs="?")
    whose.add_argument("--all", action="store_true", help="every district")
    retell.add_argument(
        "--since", type=datetime.fromisoformat, help="when the restored copy was made, or before: less is read (ever)"
    )

    position = command(
        "position", "where services stand in a topic, and the way back when its log is another", _position
    )
    position.add_argument("action", choices=["show", "set"])
    position.add_argument("topic", nargs="?", help="(show, without one: every partition that is not read on)")
    position.add_argument("partition", nargs="?", type=int)
    position.add_argument(
        "--to",
        metavar="PLACE",
        help="start, end, an offset (the next one to read), or gone: the broker has no such partition any more",
    )
    position.add_argument("--service", choices=list(SERVICES), help="of this service alone; else of all that read it")

    people = command("people", "who may sign in: in force at every service within five seconds", _people)
    actions = people.add_subparsers(dest="action", required=True)
    for name, described in (
        ("add", "let somebody in; their key is shown once"),
        ("withdraw", "shut somebody out, by whatever door"),
        ("rotate", "give somebody a new key, shown once"),
        ("list", "everybody, with role, districts and expiry"),
    ):
        each = actions.add_parser(name, help=described, description=described)
        if name != "list":
            each.add_argument("name")
        if name == "add":
            from deploy.commands.people import ROLES

            each.add_argument("--role", required=True, choices=ROLES)
            each.add_argument("--scopes", required=True, nargs="+", metavar="DISTRICT", help="districts, or * for all")
            each.add_argument("--display-name")
            each.add_argument("--language", help="such as es")
            each.add_argument("--expires", type=date.fromisoformat, metavar="DAY", help="the last day of the key")

    broker = command("kafka", "who may read and write what on the broker: told, mended, passwords renewed", _kafka)
    broker.add_argument("action", choices=["check", "apply", "rotate"], help="check: exit code 1 on any difference")
    broker.add_argument("name", nargs="?", help="(rotate) a service, a district, auditor or leap")

    told = command("story", "two guided minutes: from three absences to a line in the report", _story)
    told.add_argument("--pace", type=float, default=8.0, help="seconds to read each step (8)")

    rebuild = command(
        "rebuild", "make a service's tables anew from the topics, compare, switch, without a stop", _rebuild
    )
    rebuild.add_argument("service", choices=["reporting", "flagging"])
    way = rebuild.add_mutually_exclusive_group()
    way.add_argument("--compare", action="store_true", help="compare only; exit code 1 where a row differs")
    way.add_argument("--back", action="store_true", help="put the former tables back, brought up to now")

    backup = command("backup", "every service's tables into a folder, while everything runs", _backup)
    backup.add_argument("folder", type=Path)

    restore = command("restore", "put tables back as a backup has them, and take back what was told since", _restore)
    what = restore.add_mutually_exclusive_group(required=True)
    what.add_argument("folder", nargs="?", type=Path, help="of `leap backup`")
    what.add_argument("--take-back", action="store_true", help="put nothing back: only know again what was told")
    what.add_argument("--back", action="store_true", help="let stand again what the last restore put aside")
    what.add_argument("--kafka-lost", action="store_true", help="begin anew on new topics, with the tables as they are")
    restore.add_argument("--only", nargs="+", choices=list(SERVICES), default=[], metavar="SERVICE")
    restore.add_argument("--old", action="store_true", help="also where a part of what districts sent since is gone")
    return whole


def _up(arguments: argparse.Namespace, screen: Screen) -> int:
    from deploy.commands.down import down
    from deploy.commands.up import Demonstration, up
    from deploy.demo.calendars import latest_day_worth_replaying
    from services.runtime.settings import zone_from

    today = datetime.now(zone_from()).date()  # a zone that there is not is refused before anything is started
    until = arguments.until or latest_day_worth_replaying(today)
    demonstration = Demonstration(scale=arguments.scale, seed=arguments.seed, until=until, goes_on=not arguments.still)
    try:
        return up(screen, demonstration=None if arguments.no_demo else demonstration, observed=arguments.observe)
    except KeyboardInterrupt:
        screen.step("interrupted: stopping what was started")
        down(screen, purge=False)
        raise


def _down(arguments: argparse.Namespace, screen: Screen) -> int:
    from deploy.commands.down import down

    return down(screen, purge=arguments.purge)


def _status(_: argparse.Namespace, screen: Screen) -> int:
    from deploy.commands.status import status

    return status(screen)


def _doctor(_: argparse.Namespace, screen: Screen) -> int:
    from deploy.commands.doctor import doctor

    return doctor(screen)


def _logs(arguments: argparse.Namespace, _: Screen) -> int:
    from deploy.commands.logs import logs

    return logs(service=arguments.service, lines=arguments.lines, follow=arguments.follow)


def _push(arguments: argparse.Namespace, screen: Screen) -> int:
    from deploy.commands.push import push

    return push(screen, file=arguments.file, district=arguments.district, sessions=arguments.sessions)


def _absent(arguments: argparse.Namespace, screen: Screen) -> int:
    from deploy.commands.why import absent

    return absent(screen, district=arguments.district, students=arguments.students)


def _why(arguments: argparse.Namespace, screen: Screen) -> int:
    from deploy.commands.why import why

    return why(screen, key=arguments.key)


def _answer(arguments: argparse.Namespace, screen: Screen) -> int:
    from deploy.commands.answer import answer

    return answer(
        screen,
        whose=arguments.household,
        by_name=arguments.name,
        language=arguments.language,
        page=arguments.page,
    )


def _trace(arguments: argparse.Namespace, screen: Screen) -> int:
    from deploy.commands.trace import trace

    return trace(screen, district=arguments.district, what=arguments.what, school=arguments.school)


def _story(arguments: argparse.Namespace, screen: Screen) -> int:
    from deploy.commands.story import story

    return story(screen, pace_seconds=arguments.pace)


def _people(arguments: argparse.Namespace, screen: Screen) -> int:
    from deploy.commands import people

    if arguments.action == "list":
        return people.show(screen)
    if arguments.action == "withdraw":
        return people.withdraw(screen, name=arguments.name)
    if arguments.action == "rotate":
        return people.rotate(screen, name=arguments.name)
    more = {"display_name": arguments.display_name, "language": arguments.language}
    if arguments.expires is not None:
        more["expires"] = people.end_of_day(arguments.expires)
    given = {name: value for name, value in more.items() if value is not None}
    return people.add(screen, name=arguments.name, role=arguments.role, scopes=arguments.scopes, more=given)


def _policy(arguments: argparse.Namespace, screen: Screen) -> int:
    from deploy.commands import policy

    if arguments.action == "carry":
        return policy.carry(screen, chosen=arguments.district)
    if arguments.district is None:
        raise policy.NotAPolicy(f"leap policy {arguments.action} DISTRICT: name the district")
    if arguments.action == "show":
        return policy.show(screen, district=arguments.district)
    return policy.decide(
        screen, district=arguments.district, changes=arguments.changes, effective_from=arguments.effective_from
    )


def _forget(arguments: argparse.Namespace, screen: Screen) -> int:
    from deploy.commands.forget import Wish, forget

    wish = Wish(
        district=arguments.district,
        kind=arguments.kind,
        number=arguments.number,
        state_number=arguments.state_number,
        version=arguments.version,
        figures=arguments.figures,
    )
    return forget(screen, wish, dry_run=arguments.dry_run)


def _retention(arguments: argparse.Namespace, screen: Screen) -> int:
    from deploy.commands.retention import retention

    return retention(screen, as_csv=arguments.csv)


def _district(arguments: argparse.Namespace, screen: Screen) -> int:
    from deploy.commands import district

    if arguments.status == "end":
        from deploy.commands.ending import NotEnded, end

        if arguments.into is None:
            raise NotEnded("leap district end DISTRICT --into FOLDER: say where the export goes")
        return end(screen, district=arguments.district, folder=arguments.into, dry_run=arguments.dry_run)
    return district.declare(screen, district=arguments.district, status=arguments.status)


def _retell(arguments: argparse.Namespace, screen: Screen) -> int:
    from deploy.commands import retell

    return retell.run(screen, chosen=arguments.district, since=arguments.since)


def _position(arguments: argparse.Namespace, screen: Screen) -> int:
    from deploy.commands import position

    if arguments.action == "show":
        return position.show(screen, topic=arguments.topic)
    if arguments.topic is None or arguments.partition is None or arguments.to is None:
        raise position.PositionRefused("leap position set TOPIC PARTITION --to start|end|OFFSET: name all three")
    return position.move(
        screen, topic=arguments.topic, partition=arguments.partition, to=arguments.to, service=arguments.service
    )


def _kafka(arguments: argparse.Namespace, screen: Screen) -> int:
    from deploy.commands import kafka

    if arguments.action == "rotate":
        if arguments.name is None:
            raise kafka.NotAUser("leap kafka rotate NAME: name a service, a district, auditor or leap")
        return kafka.rotate(screen, name=arguments.name)
    return kafka.check(screen) if arguments.action == "check" else kafka.apply(screen)


def _rebuild(arguments: argparse.Namespace, screen: Screen) -> int:
    from deploy.commands import rebuild

    return rebuild.run(screen, name=arguments.service, compare_only=arguments.compare, back=arguments.back)


def _backup(arguments: argparse.Namespace, screen: Screen) -> int:
    from deploy.commands import backup

    return backup.backup(screen, folder=arguments.folder)


def _restore(arguments: argparse.Namespace, screen: Screen) -> int:
    from deploy.commands import restore

    if arguments.kafka_lost:
        return restore.kafka_lost(screen)
    if arguments.back:
        return restore.put_back(screen, services=arguments.only)
    if arguments.take_back:
        return restore.take_back_only(screen, services=arguments.only)
    return restore.restore(screen, folder=arguments.folder, services=arguments.only, however_old=arguments.old)


def _scale(text: str) -> float:
    scale = float(text)
    if not 0.01 <= scale <= 1.0:
        raise argparse.ArgumentTypeError("a scale lies between 0.01 and 1.0")
    return scale

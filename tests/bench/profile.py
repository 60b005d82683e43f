"""Where the time of a state's day goes: when each hop was done, and who used the CPU. As a table for documents."""

from typing import Any


def table(day: dict[str, Any]) -> str:
    """Write the two tables of one measured day, in Markdown."""
    marks, cpu = day["marks"], day["cpu_seconds"]
    total = sum(cpu.values())
    lines = [f"\n{marks:,} marks, {day['districts']} districts\n", "| Hop | done after, s |", "|---|---|"]
    lines += [f"| {hop} | {seconds:.1f} |" for hop, seconds in day["hops"].items()]
    lines += ["", "| Who | CPU, s | share | µs per mark |", "|---|---|---|---|"]
    for part, seconds in sorted(cpu.items(), key=lambda each: -each[1]):
        if seconds >= 0.05:
            lines.append(f"| {part} | {seconds:.1f} | {seconds / total:.0%} | {1e6 * seconds / marks:.1f} |")
    lines.append(f"| all | {total:.1f} | 100% | {1e6 * total / marks:.1f} |")
    return "\n".join(lines)

"""The published calendar vectors by zoneinfo and dateutil: nothing here knows Uplift's own calendar."""

import re
import unittest
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import yaml
from dateutil.rrule import rrulestr

VECTORS = Path(__file__).parent.parent / "vectors" / "windows.yaml"
AHEAD = timedelta(days=3700)
BACK = timedelta(days=40)


def placed(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first of two; behind a gap by as much as it lies in it: both are what fold=0 means."""
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)


def exists(day: date, zone: ZoneInfo) -> bool:
    """Whether any minute of the day is one that the zone's clocks show."""
    midnight = datetime.combine(day, time())
    minutes = (midnight + timedelta(minutes=minute) for minute in range(24 * 60))
    return any(placed(minute, zone).astimezone(zone).replace(tzinfo=None) == minute for minute in minutes)


def duration(text: str) -> tuple[timedelta, timedelta]:
    """Calendar days, and exact time."""
    days, hours, minutes = (int(part or 0) for part in re.fullmatch(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?", text).groups())
    return timedelta(days=days), timedelta(hours=hours, minutes=minutes)


def starts(entry: dict, zone: ZoneInfo, first: datetime, last: datetime) -> list[datetime]:
    if "T" in entry["start"]:
        begin = datetime.fromisoformat(entry["start"])
    else:
        begin = datetime.combine(date(2000, 1, 1), time.fromisoformat(entry["start"]))
    rule = entry.get("rrule") or "FREQ=WEEKLY;BYDAY=" + ",".join(day[:2].upper() for day in entry["days"])
    if until := re.search(r"UNTIL=(\w+)Z", rule):
        wall = datetime.strptime(until[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC).astimezone(zone)
        rule = rule.replace(until[0], f"UNTIL={wall:%Y%m%dT%H%M%S}")
    return rrulestr(rule, dtstart=begin).between(first, last, inc=True)


def spans(entry: dict, at: datetime) -> list[tuple[datetime, datetime]]:
    zone = ZoneInfo(entry["timezone"])
    if "dates" in entry:
        days = [datetime.fromisoformat(day) for day in entry["dates"]]
        return [(placed(day, zone), placed(day + timedelta(days=1), zone)) for day in days]
    if "from" in entry:
        ends = datetime.fromisoformat(entry["to"])
        if "T" not in entry["to"]:
            ends += timedelta(days=1)
        return [(placed(datetime.fromisoformat(entry["from"]), zone), placed(ends, zone))]
    days, exact = duration(entry["duration"])
    found = []
    naive = at.replace(tzinfo=None)
    for wall in starts(entry, zone, naive - BACK, naive + AHEAD):
        if not exists(wall.date(), zone):
            continue
        begins = placed(wall, zone)
        ends = (placed(wall + days, zone) if days else begins) + exact
        found.append((begins, ends))
    return found


def is_open(windows, blackouts, at: datetime) -> bool:
    allowed = windows is None or any(begins <= at < ends for begins, ends in windows)
    return allowed and not any(begins <= at < ends for begins, ends in blackouts)


def answer(calendar: dict, at: datetime) -> tuple[bool, datetime | None]:
    windows = calendar.get("windows")
    if windows is not None:
        windows = [span for entry in windows for span in spans(entry, at)]
    blackouts = [span for entry in calendar.get("blackouts", []) for span in spans(entry, at)]
    now = is_open(windows, blackouts, at)
    edges = sorted({edge for span in (*(windows or []), *blackouts) for edge in span if at < edge < at + AHEAD - BACK})
    for edge in edges:
        if is_open(windows, blackouts, edge) != now:
            return now, edge
    return now, None


class Windows(unittest.TestCase):
    def test_every_row(self):
        calendars = yaml.safe_load(VECTORS.read_text(encoding="utf-8"))["calendars"]
        rows = 0
        for calendar in calendars:
            for row in calendar["rows"]:
                with self.subTest(about=calendar["about"], at=row["at"]):
                    until = row["until"] and datetime.fromisoformat(row["until"]).astimezone(UTC)
                    at = datetime.fromisoformat(row["at"]).astimezone(UTC)
                    self.assertEqual(answer(calendar, at), (row["open"], until))
                rows += 1
        self.assertGreaterEqual(rows, 60)

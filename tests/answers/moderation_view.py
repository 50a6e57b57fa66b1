"""Answers to the exercises of the chapter moderation_view."""

from datetime import UTC, date, datetime, time, timedelta

from exercises import right, wrong


@wrong("check_until", "'today' on a Saturday evening")
def by_days(text: str, now: datetime) -> float | None:
    days = {"today": 1, "tomorrow": 2}.get(text.lower())
    return None if days is None else days * 86_400.0


@wrong("check_until", "'Tomorrow' on a Saturday evening")
def with_case(text: str, now: datetime) -> float | None:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    days = {"today": 1, "tomorrow": 2}.get(text)
    if days is None:
        return None
    return (midnight + timedelta(days=days) - now).total_seconds()


@wrong("check_until", "'2027-02-27' on a Saturday evening")
def also_the_past(text: str, now: datetime) -> float | None:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    days = {"today": 1, "tomorrow": 2}.get(text.lower())
    if days is not None:
        return (midnight + timedelta(days=days) - now).total_seconds()
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None
    return (day - now).total_seconds()


@wrong("check_until", "'2027-3-1' on a Saturday evening")
def any_spelling(text: str, now: datetime) -> float | None:
    seconds = also_the_past(text, now)
    return seconds if seconds is not None and seconds > 0 else None


@right("check_until")
def with_dates(text: str, now: datetime) -> float | None:
    today, days = now.date(), {"today": 1, "tomorrow": 2}
    if text.lower() in days:
        day = today + timedelta(days=days[text.lower()])
    else:
        try:
            day = date.fromisoformat(text)
        except ValueError:
            return None
        if day <= today or len(text) != 10:
            return None
    return (datetime.combine(day, time(), UTC) - now).total_seconds()


@right("check_until")
def in_seconds(text: str, now: datetime) -> float | None:
    today = int(now.timestamp()) // 86_400
    days = {"today": today + 1, "tomorrow": today + 2}
    end = days.get(text.lower())
    if end is None:
        parts = text.split("-")
        if list(map(len, parts)) != [4, 2, 2] or not "".join(parts).isdecimal():
            return None
        try:
            day = datetime(*map(int, parts), tzinfo=UTC)  # type: ignore[misc]
        except ValueError:
            return None
        end = int(day.timestamp()) // 86_400
    seconds = end * 86_400 - now.timestamp()
    return seconds if seconds > 0 else None

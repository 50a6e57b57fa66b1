"""Answers to the exercises of the chapter moderation."""

from exercises import right, wrong

Log = list[tuple[float, str, str, str, float | None]]


@wrong("check_muted_at", "who is muted at 0.5")
def the_whole_log(log: Log, now: float) -> set[str]:
    muted = {}
    for _, _, action, target, end in log:
        if action == "mute":
            muted[target.lower()] = end
        elif action in ("unmute", "ban"):
            muted.pop(target.lower(), None)
    return {name for name, end in muted.items() if end is None or end > now}


@wrong("check_muted_at", "who is muted at 8")
def the_longest_counts(log: Log, now: float) -> set[str]:
    muted: set[str] = set()
    for number, (when, _, action, target, end) in enumerate(log):
        later = [
            each[2]
            for each in log[number + 1 :]
            if each[0] <= now and each[3].lower() == target.lower()
        ]
        live = end is None or end > now
        if when <= now and live and action == "mute":
            if not {"unmute", "ban"} & {*later}:
                muted.add(target.lower())
    return muted


@wrong("check_muted_at", "who is muted at 7.5")
def in_one_case(log: Log, now: float) -> set[str]:
    muted = {}
    for when, _, action, target, end in log:
        if when <= now and action == "mute":
            muted[target] = end
        elif when <= now and action in ("unmute", "ban"):
            muted.pop(target, None)
    live = {name for name, end in muted.items() if end is None or end > now}
    return {name.lower() for name in live}


@wrong("check_muted_at", "who is muted at 3.5")
def a_kick_ends_it(log: Log, now: float) -> set[str]:
    muted = {}
    for when, _, action, target, end in log:
        if when <= now:
            muted.pop(target.lower(), None)
            if action == "mute":
                muted[target.lower()] = end
    return {name for name, end in muted.items() if end is None or end > now}


@wrong("check_muted_at", "who is muted at 12.5")
def a_ban_does_not(log: Log, now: float) -> set[str]:
    muted = {}
    for when, _, action, target, end in log:
        if when <= now and action in ("mute", "unmute"):
            muted[target.lower()] = end if action == "mute" else now
    return {name for name, end in muted.items() if end is None or end > now}


@right("check_muted_at")
def backwards(log: Log, now: float) -> set[str]:
    known: set[str] = set()
    muted: set[str] = set()
    for when, _, action, target, end in reversed(log):
        name = target.lower()
        if when > now or name in known or action not in ("mute", "unmute", "ban"):
            continue
        known.add(name)
        if action == "mute" and (end is None or now < end):
            muted.add(name)
    return muted


@right("check_muted_at")
def by_name(log: Log, now: float) -> set[str]:
    past = [each for each in log if each[0] <= now and each[2] != "kick"]
    last = {target.lower(): (action, end) for _, _, action, target, end in past}
    return {
        name
        for name, (action, end) in last.items()
        if action == "mute" and (end is None or end > now)
    }

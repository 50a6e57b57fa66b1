"""Answers to the exercises of the chapter room_settings."""

from exercises import right, wrong


@wrong("check_mutes", "after unmute")
class TwoLists:
    def __init__(self) -> None:
        self.names: dict[str, float | None] = {}
        self.sessions: dict[str, float | None] = {}

    def mute(self, name: str, session: str, until: float | None) -> None:
        self.sessions.clear()
        self.names[name.lower()] = self.sessions[session] = until

    def unmute(self, name: str) -> bool:
        return self.names.pop(name.lower(), "none") != "none"

    def may_speak(self, name: str, session: str, now: float) -> bool:
        ends = [self.names.get(name.lower(), now), self.sessions.get(session, now)]
        return all(end is not None and end <= now for end in ends)


@wrong("check_mutes", "another name, the same session")
class ByName:
    def __init__(self) -> None:
        self.names: dict[str, float | None] = {}

    def mute(self, name: str, session: str, until: float | None) -> None:
        self.names[name.lower()] = until

    def unmute(self, name: str) -> bool:
        return self.names.pop(name.lower(), "none") != "none"

    def may_speak(self, name: str, session: str, now: float) -> bool:
        end = self.names.get(name.lower(), now)
        return end is not None and end <= now


@wrong("check_mutes", "the session's key as a name")
class OneListForBoth:
    def __init__(self) -> None:
        self.keys: dict[str, tuple[str, float | None]] = {}

    def mute(self, name: str, session: str, until: float | None) -> None:
        self.unmute(name)
        for key in (name.lower(), session):
            self.keys[key] = name.lower(), until

    def unmute(self, name: str) -> bool:
        old = [key for key, (who, _) in self.keys.items() if who == name.lower()]
        for key in old:
            del self.keys[key]
        return bool(old)

    def may_speak(self, name: str, session: str, now: float) -> bool:
        found = [self.keys.get(key, ("", now))[1] for key in (name.lower(), session)]
        return all(end is not None and end <= now for end in found)


@wrong("check_mutes", "a shorter mute takes its place")
class TheLongerOne:
    def __init__(self) -> None:
        self.mutes: dict[str, tuple[str, float]] = {}

    def mute(self, name: str, session: str, until: float | None) -> None:
        end = float("inf") if until is None else until
        _, before = self.mutes.get(name.lower(), ("", 0.0))
        self.mutes[name.lower()] = session, max(end, before)

    def unmute(self, name: str) -> bool:
        return self.mutes.pop(name.lower(), None) is not None

    def may_speak(self, name: str, session: str, now: float) -> bool:
        return not any(
            now < end and (name.lower() == muted or session == other)
            for muted, (other, end) in self.mutes.items()
        )


@wrong("check_mutes", "at the time 60")
class UntilAndIncluding:
    def __init__(self) -> None:
        self.mutes: dict[str, tuple[str, float]] = {}

    def mute(self, name: str, session: str, until: float | None) -> None:
        self.mutes[name.lower()] = session, float("inf") if until is None else until

    def unmute(self, name: str) -> bool:
        return self.mutes.pop(name.lower(), None) is not None

    def may_speak(self, name: str, session: str, now: float) -> bool:
        return not any(
            now <= end and (name.lower() == muted or session == other)
            for muted, (other, end) in self.mutes.items()
        )


@wrong("check_mutes", "another room")
class OneForAllRooms:
    mutes: dict[str, tuple[str, float]] = {}

    def mute(self, name: str, session: str, until: float | None) -> None:
        self.mutes[name.lower()] = session, float("inf") if until is None else until

    def unmute(self, name: str) -> bool:
        return self.mutes.pop(name.lower(), None) is not None

    def may_speak(self, name: str, session: str, now: float) -> bool:
        return not any(
            now < end and (name.lower() == muted or session == other)
            for muted, (other, end) in self.mutes.items()
        )


@right("check_mutes")
class Table:
    def __init__(self) -> None:
        self.mutes: dict[str, tuple[str, float]] = {}

    def mute(self, name: str, session: str, until: float | None) -> None:
        self.mutes[name.lower()] = session, float("inf") if until is None else until

    def unmute(self, name: str) -> bool:
        return self.mutes.pop(name.lower(), None) is not None

    def may_speak(self, name: str, session: str, now: float) -> bool:
        return not any(
            now < end and (name.lower() == muted or session == other)
            for muted, (other, end) in self.mutes.items()
        )


@right("check_mutes")
class TwoKeys:
    """As the chapter does it: the key of a session has a space in it."""

    def __init__(self) -> None:
        self.ends: dict[str, float | None] = {}
        self.sessions: dict[str, str] = {}

    def mute(self, name: str, session: str, until: float | None) -> None:
        self.unmute(name)
        self.sessions[name.lower()] = session
        self.ends[name.lower()] = self.ends[f"session {session}"] = until

    def unmute(self, name: str) -> bool:
        session = self.sessions.pop(name.lower(), None)
        if session is None:
            return False
        del self.ends[name.lower()], self.ends[f"session {session}"]
        return True

    def may_speak(self, name: str, session: str, now: float) -> bool:
        for key in (name.lower(), f"session {session}"):
            end = self.ends.get(key, 0.0)
            if end is None or end > now:
                return False
        return True

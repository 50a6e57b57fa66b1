"""Answers to the exercises of the chapter room_memory."""

from exercises import right, wrong

from python_tcp.chat_view import Line

Lines = dict[str, list[Line]]


@wrong("check_first_rooms", "at most 1")
def by_length(lines: Lines, me: str, most: int) -> list[str]:
    return sorted(lines, key=lambda room: len(lines[room]), reverse=True)[:most]


@wrong("check_first_rooms", "at most 1")
def by_bells(lines: Lines, me: str, most: int) -> list[str]:
    bells = {room: sum(line.bell for line in each) for room, each in lines.items()}
    return sorted(filter(lines.get, lines), key=lambda room: (-bells[room], room))[
        :most
    ]


@wrong("check_first_rooms", "at most 5")
def without_the_alphabet(lines: Lines, me: str, most: int) -> list[str]:
    def urgency(room: str) -> tuple:
        return not any(line.bell for line in lines[room]), -len(lines[room])

    return sorted(filter(lines.get, lines), key=urgency)[:most]


@wrong("check_first_rooms", "an empty room")
def with_empty_ones(lines: Lines, me: str, most: int) -> list[str]:
    def urgency(room: str) -> tuple:
        return not any(line.bell for line in lines[room]), -len(lines[room]), room

    rooms = sorted(lines, key=urgency)
    return rooms[: min(most, max(len(rooms) - 1, 1))]


@right("check_first_rooms")
def two_lists(lines: Lines, me: str, most: int) -> list[str]:
    rooms = sorted(room for room in lines if lines[room])
    rooms.sort(key=lambda room: len(lines[room]), reverse=True)  # sorting is stable
    called = [room for room in rooms if any(line.bell for line in lines[room])]
    return (called + [room for room in rooms if room not in called])[:most]


@right("check_first_rooms")
def with_a_heap(lines: Lines, me: str, most: int) -> list[str]:
    import heapq

    heap = [
        (-max(line.bell for line in each), -len(each), room)
        for room, each in lines.items()
        if each
    ]
    return [room for *_, room in heapq.nsmallest(most, heap)]

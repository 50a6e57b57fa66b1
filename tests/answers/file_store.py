"""Answers to the exercises of the chapter file_store."""

from exercises import right, wrong

Folder = dict[str, int]


@wrong("check_state_of", "state_of({'7.part': 0}, 7, 10): expected 'PARTIAL'")
def an_empty_part_is_none(folder: Folder, number: int, size: int) -> str | None:
    if folder.get(str(number)) == size:
        return "COMPLETE"
    return "PARTIAL" if folder.get(f"{number}.part") else None


@wrong("check_state_of", "state_of({'7': 9}, 7, 10): expected None")
def believes_the_name(folder: Folder, number: int, size: int) -> str | None:
    if str(number) in folder:
        return "COMPLETE"
    return "PARTIAL" if folder.get(f"{number}.part", size + 1) <= size else None


@wrong("check_state_of", "state_of({'7.part': 11}, 7, 10): expected None")
def believes_each_part(folder: Folder, number: int, size: int) -> str | None:
    if folder.get(str(number)) == size:
        return "COMPLETE"
    return "PARTIAL" if f"{number}.part" in folder else None


@wrong("check_state_of", "state_of({'17': 10, '70.part': 3}, 7, 10): expected None")
def finds_others(folder: Folder, number: int, size: int) -> str | None:
    if folder.get(str(number)) == size:
        return "COMPLETE"
    parts = [name for name in folder if str(number) in name and ".part" in name]
    return "PARTIAL" if any(folder[name] <= size for name in parts) else None


@right("check_state_of")
def with_a_default(folder: Folder, number: int, size: int) -> str | None:
    if folder.get(str(number)) == size:
        return "COMPLETE"
    return "PARTIAL" if folder.get(f"{number}.part", size + 1) <= size else None


@right("check_state_of")
def with_match(folder: Folder, number: int, size: int) -> str | None:
    match folder.get(f"{number}"), folder.get(f"{number}.part"):
        case whole, _ if whole == size:
            return "COMPLETE"
        case _, int(part) if part <= size:
            return "PARTIAL"
    return None

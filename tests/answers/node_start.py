"""Answers to the exercises of the chapter node_start."""

from collections.abc import Callable
from typing import Any

from exercises import right, wrong

Clock = Callable[[], float]
Parts = tuple[list[str], list[str]]


@wrong("check_read_up_to", "others talk: in time")
def patient_with_others(log: Any, own: str, clock: Clock, patience: float) -> Parts:
    log.append(own)
    before, end = list[str](), clock() + patience
    while True:
        found = log.read(len(before))
        if own in found:
            place = found.index(own)
            return before + found[:place], found[place + 1 :]
        before += found
        if not found and clock() > end:
            raise TimeoutError


@wrong("check_read_up_to", "one behind it")
def without_what_comes_behind(
    log: Any, own: str, clock: Clock, patience: float
) -> Parts:
    log.append(own)
    before, end = list[str](), clock() + patience
    while clock() <= end:
        for entry in log.read(len(before)):
            if entry == own:
                return before, []
            before.append(entry)
    raise TimeoutError


@wrong("check_read_up_to", "in three readings: appended")
def appended_each_time(log: Any, own: str, clock: Clock, patience: float) -> Parts:
    before, end = list[str](), clock() + patience
    while clock() <= end:
        log.append(own)
        found = log.read(len(before))
        if own in found:
            place = found.index(own)
            return before + found[:place], found[place + 1 :]
        before += found
    raise TimeoutError


@wrong("check_read_up_to", "the same text twice")
def nothing_twice(log: Any, own: str, clock: Clock, patience: float) -> Parts:
    log.append(own)
    entries, count, end = list[str](), 0, clock() + patience
    while clock() <= end:
        found = log.read(count)
        count += len(found)
        entries += [entry for entry in found if entry not in entries]
        if own in entries:
            place = entries.index(own)
            return entries[:place], entries[place + 1 :]
    raise TimeoutError


@right("check_read_up_to")
def in_one_list(log: Any, own: str, clock: Clock, patience: float) -> Parts:
    end = clock() + patience
    entries = list[str]()
    log.append(own)
    while own not in entries:
        if clock() > end:
            raise TimeoutError("it has not come back")
        entries.extend(log.read(len(entries)))
    place = entries.index(own)
    return entries[:place], entries[place + 1 :]


@right("check_read_up_to")
def entry_by_entry(log: Any, own: str, clock: Clock, patience: float) -> Parts:
    log.append(own)
    before, behind, is_back = list[str](), list[str](), False
    start = clock()
    while not is_back:
        if clock() - start > patience:
            raise TimeoutError
        for entry in log.read(len(before)):
            if entry == own and not is_back:
                is_back = True
            else:
                (behind if is_back else before).append(entry)
    return before, behind

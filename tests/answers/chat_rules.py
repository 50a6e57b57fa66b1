"""Answers to the exercise of the chapter chat_rules."""

from graphlib import CycleError, TopologicalSorter

from exercises import right, wrong

Needs = dict[str, list[str]]


@wrong("check_order", "order({'b': [], 'a': []})")
def as_it_comes(needs: Needs) -> list[str]:
    try:
        return list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        raise ValueError from error


@wrong("check_order", "{'a': ['b'], 'b': [], 'c': []}")
def level_by_level(needs: Needs) -> list[str]:
    done: list[str] = []
    while len(done) < len(needs):
        ready = [n for n in needs if n not in done and set(needs[n]) <= set(done)]
        if not ready:
            raise ValueError("a circle")
        done += sorted(ready)
    return done


@wrong("check_order", "what was given, afterwards")
def taking_away(needs: Needs) -> list[str]:
    done = []
    while needs:
        ready = sorted(name for name in needs if not needs[name])
        if not ready:
            raise ValueError("a circle")
        del needs[ready[0]]
        done.append(ready[0])
        for those in needs.values():
            if ready[0] in those:
                those.remove(ready[0])
    return done


@right("check_order")
def with_graphlib(needs: Needs) -> list[str]:
    sorter, ready, done = TopologicalSorter(needs), set[str](), []
    try:
        sorter.prepare()
    except CycleError as error:
        raise ValueError from error
    while sorter.is_active():
        ready.update(sorter.get_ready())
        first = min(ready)
        ready.remove(first)
        sorter.done(first)
        done.append(first)
    return done


@right("check_order")
def counting(needs: Needs) -> list[str]:
    missing = {name: len(set(those)) for name, those in needs.items()}
    done: list[str] = []
    while missing:
        ready = [name for name, count in missing.items() if count == 0]
        if not ready:
            raise ValueError("a circle")
        done.append(min(ready))
        del missing[done[-1]]
        for name in missing:
            missing[name] -= done[-1] in needs[name]
    return done

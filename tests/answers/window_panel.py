"""Answers to the exercise of the chapter on what one sees of a chat."""

from exercises import right, wrong


def _text(names):
    if not names:
        return ""
    if len(names) == 1:
        return f"{names[0]} writes"
    if len(names) > 3:
        return f"{len(names)} people write"
    return ", ".join(names[:-1]) + f" and {names[-1]} write"


@right("check_writers")
def with_two_dictionaries(events, now):
    first, last = {}, {}
    for when, name in events:
        if now - 5 <= when <= now:
            key = name.lower()
            first[key] = min(when, first.get(key, when))
            last[key] = max((when, name), last.get(key, (when, name)))
    return _text([last[key][1] for key in sorted(first, key=first.get)])


@right("check_writers")
def with_a_list(events, now):
    keys, names = [], []
    for when, name in sorted(events):
        if not 0 <= now - when <= 5:
            continue
        if name.lower() in keys:
            names[keys.index(name.lower())] = name
        else:
            keys.append(name.lower())
            names.append(name)
    return _text(names)


@wrong("check_writers", "expected 'ann and bob write', but got 'bob and ann write'")
def in_the_order_given(events, now):
    names = dict.fromkeys(name for when, name in events if 0 <= now - when <= 5)
    return _text(list(names))


@wrong("check_writers", "expected 'ann writes', but got ''")
def less_than_five(events, now):
    names = {name: 0 for when, name in sorted(events) if 0 <= now - when < 5}
    return _text(list(names))


@wrong("check_writers", "expected 'ANN writes', but got 'ann and ANN write'")
def minds_the_case(events, now):
    names = {name: 0 for when, name in sorted(events) if 0 <= now - when <= 5}
    return _text(list(names))


@wrong("check_writers", "expected 'bob and ann write', but got 'ann and bob write'")
def counts_what_is_too_old(events, now):
    names, fresh = {}, set()
    for when, name in sorted(events):
        names.setdefault(name.lower(), name)
        names[name.lower()] = name
        if 0 <= now - when <= 5:
            fresh.add(name.lower())
    return _text([name for key, name in names.items() if key in fresh])


@wrong("check_writers", "expected '4 people write'")
def names_everybody(events, now):
    names = {}
    for when, name in sorted(events):
        if 0 <= now - when <= 5:
            names[name.lower()] = name
    shown = list(names.values())
    if len(shown) < 2:
        return f"{shown[0]} writes" if shown else ""
    return ", ".join(shown[:-1]) + f" and {shown[-1]} write"

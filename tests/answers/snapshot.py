"""Answers to the exercises of the chapter snapshot."""

from typing import Any

from exercises import right, wrong


class Person:
    def __init__(self, name: str) -> None:
        self.name = name
        self.friends: list[Person] = []


@wrong("check_friends", "objects in what is saved")
class TheyThemselves:
    @staticmethod
    def save(people: list[Person]) -> list[Person]:
        return people

    @staticmethod
    def load(saved: list[Person]) -> list[Person]:
        return saved


@wrong("check_friends", "the friends of ann")
class NamesAlone:
    @staticmethod
    def save(people: list[Person]) -> list[str]:
        return [each.name for each in people]

    @staticmethod
    def load(saved: list[str]) -> list[Person]:
        return [Person(name) for name in saved]


@wrong("check_friends", "the friends of ann: expected []")
class OneObjectForEachName:
    @staticmethod
    def save(people: list[Person]) -> Any:
        found: dict[str, list[str]] = {}
        left = [*people]
        while left:
            person = left.pop()
            if person.name not in found:
                found[person.name] = [each.name for each in person.friends]
                left += person.friends
        return [[each.name for each in people], found]

    @staticmethod
    def load(saved: Any) -> list[Person]:
        names, found = saved
        made = {name: Person(name) for name in found}
        for name, friends in found.items():
            made[name].friends = [made[each] for each in friends]
        return [made[name] for name in names]


@right("check_friends")
class WithNumbers:
    @staticmethod
    def save(people: list[Person]) -> Any:
        order = list(people)
        for person in order:
            order += [f for f in person.friends if not any(f is o for o in order)]

        def number(person: Person) -> int:
            return next(n for n, each in enumerate(order) if each is person)

        return [
            [number(each) for each in people],
            [[each.name, [number(f) for f in each.friends]] for each in order],
        ]

    @staticmethod
    def load(saved: Any) -> list[Person]:
        roots, all = saved
        made = [Person(name) for name, _ in all]
        for person, (_, friends) in zip(made, all):
            person.friends = [made[number] for number in friends]
        return [made[number] for number in roots]


@right("check_friends")
class WithADictionary:
    @staticmethod
    def save(people: list[Person]) -> Any:
        found: dict[int, Person] = {}

        def look(person: Person) -> int:
            if id(person) not in found:
                found[id(person)] = person
                for friend in person.friends:
                    look(friend)
            return id(person)

        roots = [look(person) for person in people]
        names = {key: each.name for key, each in found.items()}
        friends = {key: [id(f) for f in each.friends] for key, each in found.items()}
        return {"roots": roots, "names": names, "friends": friends}

    @staticmethod
    def load(saved: Any) -> list[Person]:
        made = {key: Person(name) for key, name in saved["names"].items()}
        for key, friends in saved["friends"].items():
            made[key].friends = [made[each] for each in friends]
        return [made[key] for key in saved["roots"]]


@wrong("check_may_forget", "a snapshot at 100, nodes at [95, 105]: expected 95")
def up_to_the_snapshot(snapshot: int, nodes: list[int], patience: int) -> int:
    return snapshot


@wrong("check_may_forget", "a snapshot at 0, nodes at [5, 7]: expected 0")
def up_to_the_slowest_node(snapshot: int, nodes: list[int], patience: int) -> int:
    return min(nodes, default=snapshot)


@wrong("check_may_forget", "a snapshot at 100, nodes at [90, 105]: expected 90")
def a_little_impatient(snapshot: int, nodes: list[int], patience: int) -> int:
    return min([snapshot, *(each for each in nodes if each > snapshot - patience)])


@right("check_may_forget")
def node_by_node(snapshot: int, nodes: list[int], patience: int) -> int:
    last = snapshot
    for node in nodes:
        if 0 <= snapshot - node <= patience:
            last = min(last, node)
    return last


@right("check_may_forget")
def from_the_slowest_up(snapshot: int, nodes: list[int], patience: int) -> int:
    for node in sorted(nodes):
        if node + patience >= snapshot:
            return min(node, snapshot)
    return snapshot

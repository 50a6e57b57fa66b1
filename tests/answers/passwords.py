"""Answers to the exercises of the chapter passwords."""

from collections.abc import Callable

from exercises import right, wrong

from python_tcp.passwords import GuessLimits

Table = dict[str, tuple[bytes, str]]
Hash = Callable[[bytes], str]


@wrong("check_crack", "at most 8")
def name_by_name(table: Table, words: list[str], sha256: Hash) -> dict[str, str]:
    found = {}
    for name, (salt, digest) in table.items():
        for word in words:
            if sha256(salt + word.encode()) == digest:
                found[name] = word
    return found


@wrong("check_crack", "crack(table, words, sha256)")
def without_salt(table: Table, words: list[str], sha256: Hash) -> dict[str, str]:
    tried = {sha256(word.encode()): word for word in words}
    return {n: tried[digest] for n, (_, digest) in table.items() if digest in tried}


@wrong("check_crack", "crack(table, words, sha256)")
def one_name_for_a_password(
    table: Table, words: list[str], sha256: Hash
) -> dict[str, str]:
    names = {}
    for salt in {salt for salt, _ in table.values()}:
        for word in words:
            digest = sha256(salt + word.encode())
            for name, row in table.items():
                if row == (salt, digest):
                    names[word] = name
    return {name: word for word, name in names.items()}


@right("check_crack")
def with_a_cache(table: Table, words: list[str], sha256: Hash) -> dict[str, str]:
    known: dict[bytes, str] = {}

    def hashed(data: bytes) -> str:
        if data not in known:
            known[data] = sha256(data)
        return known[data]

    return {
        name: word
        for name, (salt, digest) in table.items()
        for word in words
        if hashed(salt + word.encode()) == digest
    }


@right("check_crack")
def salt_by_salt(table: Table, words: list[str], sha256: Hash) -> dict[str, str]:
    found = {}
    for salt in {row[0] for row in table.values()}:
        tried = {sha256(salt + word.encode()): word for word in words}
        for name, (own, digest) in table.items():
            if own == salt and digest in tried:
                found[name] = tried[digest]
    return found


@wrong("check_looked_at", "looked_at(1, 60)")
def only_the_name(addresses: int, seconds: int) -> int:
    return min(addresses * seconds, 2 * addresses + 10)


@wrong("check_looked_at", "looked_at(10, 20)")
def each_in_a_world_of_its_own(addresses: int, seconds: int) -> int:
    total = 0
    for _ in range(addresses):
        limits = GuessLimits()
        total += [limits.wait("ann", "192.0.2.1", float(s)) for s in range(seconds)].count(0.0)  # fmt: skip
    return total


@wrong("check_looked_at", "looked_at(10, 20)")
def all_in_one_network(addresses: int, seconds: int) -> int:
    limits, count = GuessLimits(), 0
    for second in range(seconds):
        for number in range(addresses):
            count += not limits.wait("ann", f"192.0.2.{number}", second + 0.0)
    return count if addresses < 10 else 0


@right("check_looked_at")
def counted(addresses: int, seconds: int) -> int:
    limits, count = GuessLimits(), 0
    for second in range(seconds):
        for number in range(addresses):
            host = f"172.{number // 250}.{number % 250}.9"
            if limits.wait("ann", host, float(second)) == 0.0:
                count += 1
    return count


@right("check_looked_at")
def with_ipv6(addresses: int, seconds: int) -> int:
    limits = GuessLimits()
    return sum(
        not limits.wait("ann", f"2001:db8:{number:x}::1", float(second))
        for second in range(seconds)
        for number in range(addresses)
    )

"""Answers to the exercises of the chapter typed_lines."""

from exercises import right, wrong

from python_tcp.typed_lines import Mistake, Typed, parse


@wrong("check_parse_all", "'hi;; all'")
def cut_always(line: str) -> list:
    return [parse(part.strip()) for part in line.split(";;") if part.strip()]


@wrong("check_parse_all", "'//x;; all'")
def any_slash(line: str) -> list:
    if not line.lstrip().startswith("/"):
        return [parse(line)]
    return [parse(part.strip()) for part in line.split(";;") if part.strip()]


@wrong("check_parse_all", "'/users;; /join;; /away x y;; /kick'")
def with_mistakes(line: str) -> list:
    if not line.lstrip().startswith("/") or line.lstrip().startswith("//"):
        return [parse(line)]
    return [parse(part.strip()) for part in line.split(";;") if part.strip()]


@wrong("check_parse_all", "'/me eats; sleeps'")
def one_semicolon(line: str) -> list:
    if not line.lstrip().startswith("/") or line.lstrip().startswith("//"):
        return [parse(line)]
    parts = line.replace(";;", ";").split(";")
    return [parse(part.strip()) for part in parts if part.strip()]


@right("check_parse_all")
def in_a_loop(line: str) -> list:
    if not line.lstrip().startswith("/") or line.lstrip().startswith("//"):
        return [parse(line)]
    done = []
    for part in line.split(";;"):
        typed = parse(part.strip())
        if isinstance(typed, Mistake):
            return [typed]
        if typed != Typed("nothing"):
            done.append(typed)
    return done


@right("check_parse_all")
def part_by_part(line: str) -> list:
    rest = line.strip()
    if not rest.startswith("/") or rest.startswith("//"):
        return [parse(line)]
    typed = []
    while rest:
        part, _, rest = rest.partition(";;")
        typed += [parse(part.strip())] if part.strip() else []
    return next(([each] for each in typed if isinstance(each, Mistake)), typed)

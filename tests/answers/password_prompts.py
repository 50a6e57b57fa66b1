"""Answers to the exercises of the chapter password_prompts."""

import re

from exercises import right, wrong


@wrong("check_too_easy", "'PassWord2027' of ann")
def is_common(password: str, name: str, common: set[str]) -> bool:
    return password.lower() in common or name.lower() in password.lower()


@wrong("check_too_easy", "'2027password' of ann")
def digits_on_both_sides(password: str, name: str, common: set[str]) -> bool:
    text, name = password.lower(), name.lower()
    if text.strip("0123456789") in common:
        return True
    return name in text or name[::-1] in text or len(set(text)) < 5


@wrong("check_too_easy", "'xx-nna-yy-zz' of ann")
def only_forwards(password: str, name: str, common: set[str]) -> bool:
    text = password.lower()
    if text.rstrip("0123456789") in common:
        return True
    return name.lower() in text or len(set(text)) < 5


@wrong("check_too_easy", "'2027password' of ann")
def any_common_part(password: str, name: str, common: set[str]) -> bool:
    text, name = password.lower(), name.lower()
    parts = any(word in text for word in common)
    return parts or name in text or name[::-1] in text or len(set(text)) < 5


@right("check_too_easy")
def with_a_pattern(password: str, name: str, common: set[str]) -> bool:
    words = "|".join(map(re.escape, common)) or "(?!)"
    if re.fullmatch(rf"({words})[0-9]*", password, re.IGNORECASE):
        return True
    names = f"{re.escape(name)}|{re.escape(name[::-1])}"
    return bool(re.search(names, password, re.IGNORECASE)) or len(set(password)) < 5


@right("check_too_easy")
def step_by_step(password: str, name: str, common: set[str]) -> bool:
    text = password.casefold()
    word = text
    while word and word[-1].isdigit():
        word = word[:-1]
    if word in common:
        return True
    for form in (name.casefold(), "".join(reversed(name.casefold()))):
        if form in text:
            return True
    return len(set(text)) <= 4

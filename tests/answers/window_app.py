"""Answers to the exercises of the chapter window_app."""

from collections.abc import Callable
from typing import Any

from exercises import right, wrong

Load = Callable[[], Any]
Loaded = tuple[Any, str | None]


@wrong("check_loaded", "a longer name")
def by_the_beginning(load: Load, package: str, advice: str) -> Loaded:
    try:
        return load(), None
    except ImportError as error:
        if not (error.name or "").startswith(package):
            raise
        return None, f"{package}: {advice}"


@wrong("check_loaded", "another package is missing")
def whatever_is_missing(load: Load, package: str, advice: str) -> Loaded:
    try:
        return load(), None
    except ImportError:
        return None, f"{package}: {advice}"


@wrong("check_loaded", "a name that the package lacks")
def any_error_of_importing(load: Load, package: str, advice: str) -> Loaded:
    try:
        return load(), None
    except ImportError as error:
        if (error.name or "").split(".")[0] != package:
            raise
        return None, f"{package}: {advice}"


@wrong("check_loaded", "No module named 'tkinter.ttk'")
def the_package_itself(load: Load, package: str, advice: str) -> Loaded:
    try:
        return load(), None
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        return None, f"{package}: {advice}"


@right("check_loaded")
def by_a_dot(load: Load, package: str, advice: str) -> Loaded:
    line = f"{package}: {advice}"
    try:
        result = load()
    except ModuleNotFoundError as error:
        name = error.name
        if name == package or name is not None and name.startswith(f"{package}."):
            return None, line
        raise
    return result, None


@right("check_loaded")
def by_the_first_part(load: Load, package: str, advice: str) -> Loaded:
    try:
        return load(), None
    except ImportError as error:
        is_missing = isinstance(error, ModuleNotFoundError) and error.name
        if is_missing and str(error.name).split(".")[0] == package:
            return None, f"{package}: {advice}"
        raise

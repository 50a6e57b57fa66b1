"""A test for many values fails if it fails with one, and tells with which."""

import pytest
from each import for_each


def test_all_with_which_it_fails_are_told() -> None:
    seen = []

    @for_each(range(5))
    def divide(number: int) -> None:
        seen.append(number)
        assert 12 / number != 4

    with pytest.raises(AssertionError) as failed:
        divide()
    assert seen == [0, 1, 2, 3, 4]
    first, second, *_ = str(failed.value).splitlines()
    assert first == "0: ZeroDivisionError: division by zero"
    assert second.startswith("3: AssertionError: assert (12 / 3) != 4")


def test_without_a_failure_it_passes() -> None:
    for_each("abc")(lambda letter: None)()


def test_no_values_are_a_mistake() -> None:
    with pytest.raises(AssertionError):
        for_each([])

import pytest

from al_assets.partitions import iteration_key, iteration_number, next_key, previous_key


def test_keys_sort_as_their_numbers_do() -> None:
    keys = [iteration_key(number) for number in range(0, 10_000, 7)]
    assert keys == sorted(keys)
    assert [iteration_number(key) for key in keys] == list(range(0, 10_000, 7))


def test_neighbours() -> None:
    assert previous_key("0000") is None
    assert previous_key("0010") == "0009"
    assert next_key("0009") == "0010"


@pytest.mark.parametrize("number", [-1, 10_000])
def test_numbers_out_of_range(number: int) -> None:
    with pytest.raises(ValueError, match=f"iteration: {number} is out of range; iterations run from 0 to 9999"):
        iteration_key(number)
    if number > 0:
        with pytest.raises(ValueError, match="out of range"):
            next_key("9999")


@pytest.mark.parametrize("key", ["", "1", "00000", "000a", "-001", "0001\n", " 001", "٠٠٠١"])
def test_what_is_no_key(key: str) -> None:
    with pytest.raises(ValueError, match="expected four digits, such as '0003'"):
        iteration_number(key)

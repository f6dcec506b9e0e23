"""Values that are read in a faster way are what the plain way makes of them."""

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schemas.values import AMOUNT, Id, Rate, is_id, parse_decimal, parse_id

IDS: TypeAdapter[str] = TypeAdapter(Id)
RATES: TypeAdapter[Decimal] = TypeAdapter(Rate)
ALPHABET = "AZaz09._:-"


@given(
    st.text(ALPHABET, max_size=70)
    | st.text(st.sampled_from(ALPHABET + " \n\x00é１\ud800"), max_size=70)
    | st.none()
    | st.booleans()
    | st.integers()
    | st.binary(max_size=3)
    | st.lists(st.just("A"), max_size=1)
)
@example("A\n")
@example("A" * 128)
@example("A" * 129)
def test_pydantic_takes_the_ids_that_parse_id_takes(value):
    """A field's check, which runs no Python, and the function are one, and say the same of what is no id."""
    if is_id(value):
        assert IDS.validate_python(value) == parse_id(value)
        return
    with pytest.raises(ValueError, match="must be an id") as plain:
        parse_id(value)
    with pytest.raises(ValidationError) as refused:
        IDS.validate_python(value)
    [said] = refused.value.errors()
    assert (said["msg"], said["loc"], said["input"]) == (str(plain.value), (), value)


@given(
    st.from_regex(r"-?[0-9]{1,11}(\.[0-9]{1,8})?", fullmatch=True, alphabet=st.characters(codec="ascii"))
    | st.from_regex(r"-?0{0,5}[01]0{0,5}(\.0{1,8})?", fullmatch=True, alphabet=st.characters(codec="ascii"))
)
@example("-0.0")
@example("10.00")
@example("0010")
@example("0.00000001")
def test_a_decimal_is_normal(text):
    """It is what was written, without zeros at its end, a sign of zero or an exponent."""
    read = parse_decimal(text)
    normal = Decimal(text).normalize() + 0
    assert f"{read:f}" == f"{normal:f}"
    assert "E+" not in str(read)


@given(st.integers(-(10**14) + 1, 10**14 - 1))
def test_an_integer_is_read_as_its_text(number):
    """Whether it was written as a number or as a text makes no difference; a truth value is no number."""
    assert parse_decimal(number, AMOUNT) == parse_decimal(str(number), AMOUNT) == number


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("type_", [bool, float])
def test_an_equal_value_of_another_type_is_not_remembered(number, type_):
    """1 is a number, and that it was read does not make one of true or of 1e0."""
    for read in (parse_decimal, RATES.validate_python):
        assert read(number) == number
        with pytest.raises(ValueError, match="must be a"):
            read(type_(number))

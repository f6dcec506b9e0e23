"""Legal entities at the door: what fits, what does not and what its sender is told, and what of it is content."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.incoming import faults
from schemas.parties.legal_entity import (
    LegalEntity,
    countries,
    parse_bic,
    parse_iban,
    parse_vat_id,
)
from schemas.parties.messages import SELLER_BYTES_MAX, check_size
from tests.schemas.letters import SELLER, accepted, body, one, refused
from tests.support.messages import customer, seller, update

ENTITY = SELLER["changes"]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("DE 136.695.976", "DE136695976"),
        ("de136695976", "DE136695976"),
        ("ATU 57194903", "ATU57194903"),
        ("EL 094259216", "EL094259216"),
        ("XI 980780684", "XI980780684"),
        ("FR-61 954 506 077", "FR61954506077"),
        ("CHE-116.281.710 MWST", "CHE116281710MWST"),
        ("GB 980780684", "GB980780684"),
        ("NO\u00a0995525828 mva", "NO995525828MVA"),
    ],
)
def test_vat_ids_that_fit(said, kept):
    """Of the EU by its members' rules, of other countries by their form; spaces, dots, hyphens, case do not matter."""
    assert parse_vat_id(said) == kept


@pytest.mark.parametrize("said", ["DE136695977", "ATU57194904", "FR61954506078", "EL094259217", "IE6433435E"])
def test_vat_ids_whose_check_digits_are_wrong(said):
    """Whoever mistypes one is told which country's it is not."""
    with pytest.raises(ValueError, match=f"must be a VAT id of {said[:2]}, its check digits too"):
        parse_vat_id(said)


@pytest.mark.parametrize("said", ["", "DE", "136695976", "XX123456", "US-", "CH" + "1" * 19, "CHE\u0661", "CH 1\u0000"])
def test_what_is_no_vat_id(said):
    """Without a country before it, too short, too long, of other letters."""
    with pytest.raises(ValueError, match=r"must be a VAT id|NUL"):
        parse_vat_id(said)


def test_ibans_and_bics():
    """They are kept without what makes them readable; a digit that is wrong is found, of a bank's own check too."""
    assert parse_iban("de89 3704 0044 0532 0130 00") == "DE89370400440532013000"
    assert parse_iban("GB82-WEST-1234-5698-7654-32") == "GB82WEST12345698765432"
    assert parse_bic("coba de ff xxx") == "COBADEFFXXX"
    for wrong in (
        "DE89370400440532013001",
        "DE8937040044053201300",
        "XX89370400440532013000",
        "ES2121000418450200051333",
    ):
        with pytest.raises(ValueError, match="must be an IBAN"):
            parse_iban(wrong)
    for wrong in ("COBADEFFXX", "COBAXXFF", "1OBADEFF"):
        with pytest.raises(ValueError, match="must be a BIC"):
            parse_bic(wrong)


@pytest.mark.parametrize("parse", [parse_vat_id, parse_iban, parse_bic])
@given(said=st.text(max_size=40) | st.from_regex(r"[A-Z]{2}[0-9A-Z .-]{2,30}", fullmatch=True))
def test_any_text(parse, said):
    """Whatever the text, it is refused or has a compact form, which is its own."""
    try:
        found = parse(said)
    except ValueError:
        return
    assert found.isascii()
    assert found.isalnum()
    assert parse(found) == found


def test_countries():
    """Those of ISO 3166-1, and no code that is only reserved or a user's own."""
    assert {"DE", "GR", "GB", "AX", "BQ"} <= countries()
    assert not {"EL", "UK", "XK", "XI", "EU", "#c", ""} & countries()
    assert len(countries()) == 249


WRONG: list[tuple[dict[str, Any], str]] = [
    (
        {"vatId": "DE136695977"},
        "vatId: must be a VAT id of DE, its check digits too, as DE136695976 (got 'DE136695977')",
    ),
    (
        {"iban": "DE00"},
        "iban: must be an IBAN, its check digits too, as DE89370400440532013000 (got 'DE00')",
    ),
    ({"bic": "X"}, "bic: must be a BIC of 8 or 11 letters and digits, as COBADEFFXXX (got 'X')"),
    (
        {"address": {"country": "Germany"}},
        "address.country: must be a country by its two letters (ISO 3166-1), as DE (got 'Germany')",
    ),
    ({"address": "Hügelweg 1"}, "address: must be an object (got 'Hügelweg 1')"),
    ({"name": 5, "legalId": ["x"]}, "name: must be a text (got 5); PLACElegalId: must be a text"),
    ({"contact": {"email": "ada"}}, "contact.email: must be an email address, as ada@example.org (got 'ada')"),
    ({"name": "x" * 1_001}, f"name: is longer than 1000 characters (got '{'x' * 59})"),
]


@pytest.mark.parametrize(("said", "detail"), WRONG)
@pytest.mark.parametrize("place", ["seller", "account", "account's update"])
def test_what_does_not_fit_is_told_by_its_path_and_value(said, detail, place):
    """The same of the seller and of an account, in the sender's own path."""
    message, path = {
        "seller": (seller(**said), "changes."),
        "account": (customer("BA-1", legalEntity=said), "legalEntity."),
        "account's update": (update("BA-1", {"legalEntity": said}), "changes.legalEntity."),
    }[place]
    incoming = one(*message)
    assert incoming.refusal is None
    assert incoming.if_new is not None
    assert (incoming.if_new.code, incoming.if_new.detail) == ("invalid", path + detail.replace("PLACE", path))
    assert faults(message[0], body(message[1]).decode()) == 1 + detail.count("; ")


@pytest.mark.parametrize("said", ["Ada Ltd", [ENTITY], 5, True])
def test_what_is_no_object(said):
    """Neither is a legal entity."""
    for message in (customer("BA-1", legalEntity=said), update("BA-1", {"legalEntity": said})):
        why = one(*message).if_new
        assert why is not None
        assert why.detail.startswith(f"{'changes.' * (message[0] == 'account.update')}legalEntity: must be an object")


def test_what_is_said_is_taken():
    """All of it, none of it, unknown fields, and null for what is not said or is taken away."""
    for changes in (ENTITY, {}, {"fax": [1.5, None]}, dict.fromkeys(ENTITY), {"address": {"country": None}}):
        assert one(*seller(**changes)).if_new is None
        assert one(*customer("BA-1", legalEntity=changes)).if_new is None
        assert one(*update("BA-1", {"legalEntity": changes})).if_new is None
    assert one(*customer("BA-1", legalEntity=None)).if_new is None


def test_the_sellers_numbers_are_kept_compact():
    """And all else as it came in, unknown fields too."""
    fact: Any = accepted(*seller(**ENTITY)).fact
    assert fact.changes == {
        **ENTITY,
        "vatId": "DE136695976",
        "iban": "DE89370400440532013000",
        "bic": "COBADEFFXXX",
    }
    assert LegalEntity.model_validate({**fact.changes, "vatId": " de 136 695 976"}).vat_id == "DE136695976"


def test_what_we_say_may_not_be_patched():
    """The version and its time."""
    why = refused(*seller(version=1, lastUpdate=None, name="Ada"))
    assert why.detail == "changes.lastUpdate: may not be patched; changes.version: may not be patched"


def test_a_seller_without_a_message_id_is_refused():
    """It is the key."""
    assert refused(*seller(name="Ada"), message_id=None).detail.startswith("message_id: ")


def test_the_sellers_document_has_its_limit():
    """Each order looks at it."""
    check_size({"x": "a" * (SELLER_BYTES_MAX - 8)})
    with pytest.raises(Exception, match=r"^invalid: changes: the seller's document would have more than 65536 bytes$"):
        check_size({"x": "a" * (SELLER_BYTES_MAX - 7)})


def test_a_legal_entity_is_part_of_an_accounts_content():
    """As far as we know its fields; the order in which they are written, and what is not said, is no matter."""

    def digest(**fields: Any) -> str:
        return accepted(*customer("BA-1", **fields)).digest

    entity = {"name": "Ada", "address": {"city": "Cork", "country": "IE"}}
    same = {"address": {"country": "IE", "city": "Cork", "street": None}, "name": "Ada", "contact": {}, "vatId": None}
    assert digest(legalEntity=entity) == digest(legalEntity=same) != digest()
    assert digest(legalEntity=entity) != digest(legalEntity={**entity, "name": "Bob"})
    assert digest(legalEntity=entity) != digest(legalEntity={**entity, "address": {"city": "Cork"}})
    # What an earlier version took as an unknown field, and comes again, is what it was.
    for foreign in ("Ada Ltd", ["x"], 5, {"lei": "529900"}, {"name": None}, {}, None):
        assert digest(legalEntity=foreign) == digest()


def test_the_library_is_imported_where_it_is_used():
    """Its import takes longer than most of the rest, and few messages tell of a party."""
    program = "import sys, schemas.messages, schemas.asyncapi; sys.exit('stdnum' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

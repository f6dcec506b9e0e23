"""Who trades in the demo, and in what: invented companies, wares and the taxes on them."""

from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from random import Random
from typing import Literal

DIGITS = {"EUR": 2, "JPY": 0, "KWD": 3}
"""The decimals of the demo's currencies."""
TAXES = {
    "EUR": {"standard": ("S", "0.20"), "lower": ("AA", "0.10"), "none": ("E", "0")},
    "JPY": {"standard": ("S", "0.10"), "lower": ("AA", "0.08"), "none": ("E", "0")},
    "KWD": {"standard": ("O", "0"), "lower": ("O", "0"), "none": ("O", "0")},
}
"""Category (EN 16931, BT-151) and rate of each kind of ware, by currency."""
SELLER = {
    "name": "Paper Lantern Media GmbH",
    "address": {"street": "Lampionweg 7", "postCode": "1070", "city": "Vienna", "country": "AT"},
    "vatId": "ATU 12345675",
    "legalId": "FN 123456 a",
    "iban": "AT61 1904 3002 3457 3201",
    "bic": "OPSKATWWXXX",
    "contact": {"name": "Accounts receivable", "email": "billing@example.org"},
}
"""Who sells: the business that runs this."""
FOR_ONE_EURO = {"EUR": Decimal(1), "JPY": Decimal(160), "KWD": Decimal("0.333")}
"""How the wares' prices are made in other currencies."""


@dataclass(frozen=True)
class Ware:
    """Something to sell: its price in euros, and the steps in which its quantity goes."""

    description: str
    price: str
    tax: Literal["standard", "lower", "none"] = "standard"
    step: str = "1"


OWN_WARES = (
    Ware("Fibre 500, November", "39.90"),
    Ware("Fibre 1000, November", "54.90"),
    Ware("Static address", "4.90"),
    Ware("Router, rental", "3.50"),
    Ware("Consulting, hours", "118.00", step="0.25"),
    Ware("Cloud storage, TB", "19.99", step="0.5"),
    Ware("Power for racks, kWh", "0.2837", step="17.125"),
    Ware("Handbook, printed", "24.90", tax="lower"),
    Ware("Certified training, seat", "349.00", tax="none"),
)
PARTNERS_WARES = (
    Ware("Film rental", "3.99"),
    Ware("Music, family plan", "14.99"),
    Ware("Map tiles, thousand", "0.755", step="13"),
    Ware("Stock photo licence", "29.00"),
    Ware("E-book", "9.49", tax="lower"),
)


@dataclass(frozen=True)
class Partner:
    """A partner on whose behalf we sell, and the terms of its account, which hold where nothing else is agreed."""

    id: str
    name: str
    currency: str
    share: Decimal
    accrue_on: Literal["invoice", "payment"]


HALFMOON = Partner("SA-HALFMOON", "Halfmoon Records", "EUR", Decimal("0.5"), "invoice")
CARTO = Partner("SA-CARTO", "Carto & Daughters", "EUR", Decimal("0.7"), "payment")
PARTNERS = (
    Partner("SA-LUMEN", "Lumen Street Pictures", "EUR", Decimal("0.8"), "invoice"),
    HALFMOON,
    CARTO,
    Partner("SA-INKWELL", "Inkwell Digital Books", "EUR", Decimal("0.925"), "payment"),
    Partner("SA-KOMOREBI", "Komorebi Eizo", "JPY", Decimal("0.75"), "invoice"),
    Partner("SA-SADU", "Sadu Media House", "KWD", Decimal("0.6"), "payment"),
)


@dataclass(frozen=True)
class Provider:
    """A partner whose agent we are: what it sells is billed in its name, for a commission, a rate of the net."""

    id: str
    name: str
    currency: str
    commission: Decimal
    tax: tuple[str, str]
    """That of the commission: category and rate."""
    series: str
    accrue_on: Literal["invoice", "payment"]

    @property
    def note_series(self) -> str:
        """What the numbers of its credit notes begin with."""
        return f"CN-{self.series}"


TIDEWAY = Provider("SP-TIDEWAY", "Tideway Fibre", "EUR", Decimal("0.12"), ("S", "0.20"), "TF-", "payment")
BREEZE = Provider("SP-BREEZE", "Breeze Energy", "EUR", Decimal("0.045"), ("S", "0.20"), "SP-BREEZE-", "invoice")
NIMBUS = Provider("SP-NIMBUS", "Nimbus Mobile", "EUR", Decimal("0.15"), ("AE", "0"), "NM.", "payment")
PROVIDERS = (TIDEWAY, BREEZE, NIMBUS)


@dataclass(frozen=True)
class Customer:
    """A customer's billing account."""

    id: str
    name: str
    currency: str
    term_days: int


_FIRST = ("Alder", "Birch", "Cobalt", "Dahlia", "Ember", "Fennel", "Garnet", "Harbour", "Indigo", "Juniper", "Larch")
_SECOND = (
    "Bakery",
    "Bindery",
    "Brewing",
    "Clinic",
    "Cycles",
    "Dental",
    "Foundry",
    "Freight",
    "Hotel",
    "Optics",
    "Tools",
)
_FORMS = {"EUR": ("GmbH", "SARL", "BV", "SpA"), "JPY": ("KK",), "KWD": ("WLL",)}


def customers(random: Random, count: int) -> list[Customer]:
    """So many customers with names of their own; one in ten each in yen and in dinars."""
    names = random.sample(list(product(_FIRST, _SECOND)), count)
    found = []
    for n, (first, second) in enumerate(names, 1):
        currency = {4: "JPY", 8: "KWD"}.get(n % 10, "EUR")
        name = f"{first} {second} {random.choice(_FORMS[currency])}"
        found.append(Customer(f"BA-{n:04d}", name, currency, random.choice((14, 30, 30, 60))))
    return found

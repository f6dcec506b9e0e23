"""How many digits each currency's minor unit has: those of ISO 4217, and those that were withdrawn from it.

Books are kept for longer than currencies are, so this table is never asked for what is valid today, and nothing is ever
taken out of it or changed: amounts that are stored mean what they mean by it. A test says when the library of
currencies, which knows those that are valid, has one that is not here.
"""

from __future__ import annotations

_BY_DIGITS = {
    0: (
        "ADP BEF BIF BYB BYR CLP DJF ESP GNF GRD ISK ITL JPY KMF KRW LUF MGF PTE PYG RWF TPE TRL UGX UYI "
        "VND VUV XAF XOF XPF "
    ),
    2: (
        "AED AFA AFN ALL AMD ANG AOA ARS ATS AUD AWG AYM AZM AZN BAM BBD BDT BGL BGN BMD BND BOB BOV BRL "
        "BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY COP COU CRC CSD CUC CUP CVE CYP CZK DEM DKK DOP DZD "
        "EEK EGP ERN ETB EUR FIM FJD FKP FRF GBP GEL GHC GHP GHS GIP GMD GTQ GWP GYD HKD HNL HRK HTG HUF "
        "IDR IEP ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL LTL LVL MAD MDL MGA MKD MMK "
        "MNT MOP MRO MRU MTL MUR MVR MWK MXN MXV MYR MZM MZN NAD NGN NIO NLG NOK NPR NZD PAB PEN PGK PHP "
        "PKR PLN QAR ROL RON RSD RUB RUR SAR SBD SCR SDD SDG SEK SGD SHP SIT SKK SLE SLL SOS SRD SRG SSP "
        "STD STN SVC SYP SZL THB TJS TMM TMT TOP TRY TTD TWD TZS UAH USD USN USS UYU UZS VEB VED VEF VES "
        "WST XAD XCD XCG XEU YER YUM ZAR ZMK ZMW ZRN ZWD ZWG ZWL ZWN ZWR "
    ),
    3: ("BHD IQD JOD KWD LYD OMR TND "),
    4: ("CLF UYW "),
}

DIGITS: dict[str, int] = {code: digits for digits, codes in _BY_DIGITS.items() for code in codes.split()}
"""The digits of a currency's minor unit by its code: EUR 2, JPY 0, KWD 3."""

NO_MINOR_UNIT = frozenset(("XAG", "XAU", "XBA", "XBB", "XBC", "XBD", "XDR", "XPD", "XPT", "XSU", "XTS", "XUA", "XXX"))
"""Codes of ISO 4217 in which no books can be kept: metals, baskets, tests."""

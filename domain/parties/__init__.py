"""Parties: the legal entity that sells, as it is and as it was."""

from domain.handler import Handler, nobody
from domain.parties.model import SellerUpdate
from domain.parties.updating import seller_needs, update_seller

FACTS = (Handler(SellerUpdate, seller_needs, update_seller, nobody),)

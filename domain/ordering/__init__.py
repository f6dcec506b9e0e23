"""Ordering: a completed order becomes an invoice; it composes invoicing, settlement and payments."""

from domain.handler import Handler
from domain.ordering.completing import Order, complete_order, order_needs, order_time

FACTS = (Handler(Order, order_needs, complete_order, lambda fact: fact.billing_account, order_time),)

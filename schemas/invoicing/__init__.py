"""Invoices on the wire: TMF678 customer bills, their events and queries."""

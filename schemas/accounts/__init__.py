"""Accounts on the wire: TMF666's documents, the messages that open and change them, events and queries."""

"""Parties on the wire: legal entities, the message that tells of the seller, its event and queries."""

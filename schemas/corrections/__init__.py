"""Corrections on the wire: credit notes, what tells of them, and what they are asked for by."""

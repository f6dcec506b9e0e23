"""The ledger: the chart of accounts, journal entries, positions, and the books that every fact reads and changes."""

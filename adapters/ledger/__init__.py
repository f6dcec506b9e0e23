"""The ledger in the database: how journal entries, positions and series are kept, and audited."""

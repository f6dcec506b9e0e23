"""The tests, by kind: domain and schemas in memory, store and integration on real services."""

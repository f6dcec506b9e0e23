"""The store: what a batch looks at is read, and all that it changes is written, in one transaction."""

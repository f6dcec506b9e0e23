"""Settlement in the database: how accruals and statements are kept, read for queries, and audited."""

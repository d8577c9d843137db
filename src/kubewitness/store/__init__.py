"""The queryable record. The only code that knows the tables."""

"""A phase's lineage in the forms that other tools read: a module for each, which builds it from the ledger alone."""

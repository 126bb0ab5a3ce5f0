"""Your code: everything specific to this problem. All of it is optional."""

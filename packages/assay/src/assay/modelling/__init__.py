"""Models: features, families, fitting, search and storage."""

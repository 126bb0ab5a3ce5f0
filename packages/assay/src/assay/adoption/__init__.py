"""A copy of one's own: Assay as a wheel that the locks name by hash, a newer one, and its source back."""

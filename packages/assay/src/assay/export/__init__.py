"""Export: the package that is served."""

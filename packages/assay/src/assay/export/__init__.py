"""Making the package that is served."""

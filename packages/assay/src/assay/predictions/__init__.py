"""The log of predictions: its format, its writer and its reader."""

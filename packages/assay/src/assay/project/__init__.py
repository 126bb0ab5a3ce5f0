"""The project around a model: its files, parameters, history and pipeline."""

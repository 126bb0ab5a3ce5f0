"""Bring your own data: from any file to a contract, parameters and data for the pipeline."""

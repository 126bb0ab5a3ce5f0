"""Bringing one's own data: from any file to a contract, parameters and data that the pipeline takes."""

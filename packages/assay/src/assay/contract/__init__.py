"""The contract, which describes the data, and the request model made from it."""

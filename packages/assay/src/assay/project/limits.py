"""Limits that hold in more than one place and are not in params.yaml."""

# The largest share of the rows of a batch, or of the requests to the service, that may break the contract.
MOST_REFUSED = 0.05

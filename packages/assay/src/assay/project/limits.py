"""Limits that hold in more than one place and are not in params.yaml."""

# The largest share of the rows of a batch, or of the requests to the service, that may break the contract.
MOST_REFUSED = 0.05
# The most classes for which card and report show what each feature does.
SHAPED_CLASSES = 10

"""A packaged model and what it answers, for the service, the gates and batches alike."""

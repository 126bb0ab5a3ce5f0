"""A packaged model and its predictions, shared by the service, the gates and batch scoring."""

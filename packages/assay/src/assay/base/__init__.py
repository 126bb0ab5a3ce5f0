"""Ground that everything stands on: errors, files, configuration, outcomes."""

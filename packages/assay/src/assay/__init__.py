"""The process: contract, pipeline, checks and reports. It knows nothing of the problem in `src/model/`."""

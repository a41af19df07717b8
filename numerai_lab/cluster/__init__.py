"""The same work on other processes and machines, by Dask's `distributed` (extra `numerai_lab[cluster]`)."""

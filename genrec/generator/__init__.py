"""The model that writes semantic IDs, and the search that reads them from it."""

"""A trained run over HTTP: what waits is answered together, within bounds that hold under any load."""

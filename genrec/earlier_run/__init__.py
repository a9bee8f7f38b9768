"""Going on from an earlier run with newer data: known items keep IDs and vectors, new ones are coded, weights go on."""

"""Embedding, coding and recommending for more than one machine holds: folder of parts in, folder of parts out."""

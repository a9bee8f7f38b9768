"""A run put before people: one HTML file with its pictures, made from what the stages left."""

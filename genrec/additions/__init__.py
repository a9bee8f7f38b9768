"""Items that came after the training: they get codes from the fitted tokenizer, and everything else stays as it is."""

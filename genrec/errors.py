"""What can go wrong, as a tree: catch the branch that you can do something about.

```
GenRecError
├── InputError           the caller can mend it: exit code 2
│   ├── ConfigError          a config key or value
│   ├── DataError            a file of interactions, items, embeddings or codes
│   ├── ArtifactError        a run folder: a part is missing, damaged, or made from other semantic IDs
│   │   └── RunInUseError        another process writes it
│   └── UnknownItemError     a history without one known item: nothing to recommend from
└── TrainingError        the run itself failed, e.g. the loss is not finite: exit code 1
```
Every message says what was expected, what came, where, and what to do. A mistake in a Python call (a negative
`k`, arrays that do not fit together) stays a plain `ValueError`.
"""


class GenRecError(Exception):
    """The root of every error that genrec raises on purpose."""


class InputError(GenRecError):
    """Input that the caller can mend."""


class ConfigError(InputError):
    """A config file, key or value that is not as documented."""


class DataError(InputError):
    """A data file that cannot be used as it is."""


class ArtifactError(InputError):
    """A part of a run folder that is missing, damaged, or does not belong to the others."""


class RunInUseError(ArtifactError):
    """A run folder that another process writes at the moment."""


class UnknownItemError(InputError):
    """A history in which no item is known."""


class TrainingError(GenRecError):
    """A training that cannot go on."""

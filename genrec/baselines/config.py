"""The section `baselines` of an experiment: every model that `genrec baseline NAME` can train."""

from dataclasses import dataclass, field

from genrec.baselines.bert4rec import BERT4RecConfig
from genrec.baselines.sasrec import SASRecConfig, original_sasrec, sasrec_of_content
from genrec.baselines.tiger import TIGERConfig
from genrec.baselines.trained import TrainedBaseline


@dataclass(frozen=True)
class BaselinesConfig:
    """One entry per name of a baseline. No stage of the generator depends on them."""

    sasrec: SASRecConfig = field(default_factory=SASRecConfig)
    sasrec_content: SASRecConfig = field(default_factory=sasrec_of_content)
    sasrec_one_negative: SASRecConfig = field(default_factory=original_sasrec)
    bert4rec: BERT4RecConfig = field(default_factory=BERT4RecConfig)
    tiger: TIGERConfig = field(default_factory=TIGERConfig)

    def named(self, name: str) -> TrainedBaseline:
        """The baseline of this name."""
        return getattr(self, name)

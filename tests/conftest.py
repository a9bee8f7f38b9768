"""What tests of all packages share."""

import jaxtyping
import pytest
import torch


@pytest.fixture
def without_shape_checks():
    """The compiler cannot trace the checks that the tests put around every annotated function."""
    torch.compiler.reset()
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)

"""Every mutant still fits the source, and its test is still there; ``python tests/mutants/run.py`` runs them."""

import pytest

from tests.mutants.mutant import ROOT, Mutant
from tests.mutants.run import ALL


@pytest.mark.parametrize("mutant", ALL, ids=lambda mutant: mutant.fault)
def test_a_mutant_replaces_what_stands_in_the_source_once(mutant: Mutant) -> None:
    source = (ROOT / mutant.file).read_text()
    assert mutant.applied(source) != source


@pytest.mark.parametrize("mutant", ALL, ids=lambda mutant: mutant.fault)
def test_the_test_that_must_notice_a_mutant_exists(mutant: Mutant) -> None:
    file, _, name = mutant.test_id.partition("::")
    assert f"def {name}(" in (ROOT / file).read_text()


def test_no_mutant_stands_twice() -> None:
    assert len({mutant.fault for mutant in ALL}) == len({mutant[1:4] for mutant in ALL}) == len(ALL)

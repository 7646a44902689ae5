"""The schedule is a pure function of the seed."""

import itertools

import msgspec

from candlebus.sandbox import FAULTS
from tests.faults.inject import Injector
from tests.faults.proxy import TOXICS
from tests.faults.schedule import CASES_AN_EPOCH, Case, Fault, names, schedule, toxic


def _cases(seed: int, count: int = 40) -> list[Case]:
    return list(itertools.islice(schedule(seed), count))


def test_one_seed_makes_the_same_cases_every_time_and_another_seed_makes_others() -> None:
    assert _cases(7) == _cases(7)
    assert _cases(7) != _cases(8)


def test_a_case_can_be_drawn_without_those_before_it() -> None:
    assert next(case for case in schedule(7) if case.number == 20) == _cases(7)[20]


def test_the_server_begins_anew_after_every_epoch_and_keeps_its_mode_in_one() -> None:
    cases = _cases(7)
    assert [case.number for case in cases if case.begins_epoch] == list(range(0, 40, CASES_AN_EPOCH))
    epochs = [cases[at : at + CASES_AN_EPOCH] for at in range(0, 40, CASES_AN_EPOCH)]
    assert all(len({case.fsync for case in epoch}) == 1 for epoch in epochs)


def test_every_kind_of_fault_is_drawn_and_known_to_the_injector() -> None:
    kinds = {fault.kind for case in _cases(7, 400) for fault in case.faults}
    assert kinds >= {*TOXICS, "kill", "pause", "lose_power", "full_disk", "clock_step", *FAULTS}
    assert {kind for kind in kinds - {*TOXICS, *FAULTS} if not hasattr(Injector, f"_{kind}")} == set()


def test_the_names_of_faults_are_those_that_are_drawn() -> None:
    assert {f"{fault.kind} {fault.target}" for case in _cases(7, 1_500) for fault in case.faults} == names()


def test_faults_that_are_left_out_leave_the_others_as_they_were() -> None:
    whole = next(case for case in schedule(7) if any(fault.kind == "kill" for fault in case.faults))
    kept = whole.without(["kill worker", "kill aligner", "kill guardian"])
    assert kept.faults == tuple(fault for fault in whole.faults if fault.kind != "kill")


def test_faults_survive_being_written_down() -> None:
    case = _cases(7)[0]
    assert msgspec.json.decode(msgspec.json.encode(case), type=Case) == case


def test_only_faults_of_links_are_toxics() -> None:
    assert toxic(Fault(kind="kill", target="worker")) is None
    found = toxic(Fault(kind="slicer", target="bingx", numbers={"bytes": 3, "ms": 1}))
    assert found is not None
    assert (found.bytes, found.ms) == (3, 1)

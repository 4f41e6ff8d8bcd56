"""Plans find their mistakes before anything runs."""

import pytest

from gainnet.codecs import Float32, RawAnalog
from gainnet.core.errors import PlanError
from gainnet.core.types import Spec
from gainnet.protocols import Compute, Plan, Transfer, estimate
from gainnet.radio import Analog, Ideal
from toy_parts import DEVICE, EDGE, OTHER, SHAPE, Add, network

GIVEN = {(EDGE, "x"): SHAPE}


def chain(codec=None):
    return Plan(
        (
            Compute(EDGE, Add("x", "y", 1.0)),
            Compute(EDGE, Add("y", "z", 1.0)),
            Transfer(EDGE, (DEVICE,), "z", codec or Float32()),
            Compute(DEVICE, Add("z", "w", 1.0)),
        ),
        (DEVICE, "w"),
    )


def test_shapes_follow_the_plan():
    assert chain().check(network(Ideal()), GIVEN)[DEVICE, "w"] == SHAPE


@pytest.mark.parametrize(
    ("plan", "given", "message"),
    [
        (chain(), {}, "reads 'x' on edge"),
        (Plan((), (DEVICE, "w")), GIVEN, "never makes its result"),
        (chain(RawAnalog()), GIVEN, "cannot carry Symbols"),
        (Plan((Compute("moon", Add("x", "y", 1.0)),), ("moon", "y")), {("moon", "x"): SHAPE}, "not in the network"),
        (Plan((Transfer(EDGE, (DEVICE,), "y", Float32()),), (DEVICE, "y")), GIVEN, "reads 'y' on edge"),
    ],
)
def test_a_misfit_is_found_before_running(plan, given, message):
    with pytest.raises(PlanError, match=message):
        estimate(plan, given, network(Ideal()))


def test_a_network_picks_the_bearer_that_carries_the_payload():
    both = network(Ideal(), Analog())
    assert chain().check(both, GIVEN)
    assert chain(RawAnalog()).check(both, GIVEN)


def test_remaining_drops_what_is_there_and_what_only_led_to_it():
    left = chain().remaining([(DEVICE, "z")])
    assert [step.label for step in left.steps] == ["add_w @ device"]
    assert chain().remaining([(EDGE, "y")]).steps == chain().steps[1:]
    assert chain().remaining([]).steps == chain().steps


def test_arrives_as_renames_and_a_broadcast_reaches_all():
    step = Transfer(EDGE, (DEVICE, OTHER), "x", Float32(), arrives_as="copy")
    at = Plan((step,), (DEVICE, "copy")).check(network(Ideal()), GIVEN)
    assert at[DEVICE, "copy"] == at[OTHER, "copy"] == Spec((4,))

"""The street with few clients, models and rounds, so that everything can be tried."""

from gainnet.orchestration.scenario import Scenario, load_scenario, scenario_of

STREET = load_scenario("street")


def small(num_clients: int, num_models: int, num_rounds: int) -> Scenario:
    fields = STREET.model_dump()
    fields["clients"]["num_clients"] = num_clients
    fields["rounds"]["num_rounds"] = num_rounds
    return scenario_of(fields | {"models": fields["models"][:num_models]})

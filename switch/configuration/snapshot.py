"""From a configuration to what requests are decided by: maps, tables, compiled templates."""

from __future__ import annotations

from acquirer.payments.kernel.business import Business
from acquirer.payments.kernel.limits import Limits
from acquirer.payments.orders.types import OrderTypes
from acquirer.routing.banks.choice import route_table
from acquirer.routing.orders.client import OrderSystems
from acquirer.switch.configuration.kinds import Configuration
from acquirer.switch.settings import SwitchSettings
from acquirer.switch.terminals.catalogue import catalogue_of
from acquirer.switch.terminals.terminals import Snapshot, Terminals


class Builder:
    """Builds one snapshot after another; what has not changed is taken from the one before.

    Args:
        settings: of the process.
        terminals: reads rows of terminals that are new.
        orders: takes other order systems over.
    """

    def __init__(
        self, settings: SwitchSettings, terminals: Terminals, orders: OrderSystems
    ) -> None:
        self._settings = settings
        self._terminals = terminals
        self._orders = orders

    async def __call__(
        self, epoch: int, configuration: Configuration, before: Snapshot | None
    ) -> Snapshot:
        """The snapshot of a configuration that has passed its checks.

        Raises:
            BookError: the terminals' rows cannot be read.
        """
        business = business_of(self._settings, configuration, epoch)
        await self._orders.take(configuration.order_systems)
        joined = await self._terminals.join(
            configuration.terminals,
            self._settings.profiles,
            business.merchants,
            before.terminals if before else {},
        )
        downloads = catalogue_of(
            configuration.parameters,
            configuration.ca_keys,
            configuration.ic_parameters,
            configuration.blacklist,
        )
        return Snapshot(business, joined, downloads)


def business_of(settings: SwitchSettings, configuration: Configuration, epoch: int) -> Business:
    """A configuration as payments see it."""
    return Business(
        merchants={merchant.merchant_id: merchant for merchant in configuration.merchants},
        couriers={courier.courier_id: courier for courier in configuration.couriers},
        routes=route_table(configuration.routes, [bank.name for bank in settings.banks]),
        order_types=OrderTypes(configuration.order_types, configuration.merchants),
        stand_in=configuration.stand_in,
        limits=Limits(configuration.limit, configuration.merchants),
        plans={plan.id: plan for plan in configuration.instalment_plans},
        epoch=epoch,
    )

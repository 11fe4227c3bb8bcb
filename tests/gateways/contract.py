"""What every gateway class must do, whoever it talks to.

A subclass brings data and hooks only (`tests.gateways.hooks`): the documented words and what they mean,
how its gateway answers and signs. The gateway's end is a real socket (`tests.gateways.wire`).
"""

from tests.gateways.contract_calls import CallContract
from tests.gateways.contract_webhooks import WebhookContract


class GatewayContract(CallContract, WebhookContract):
    pass

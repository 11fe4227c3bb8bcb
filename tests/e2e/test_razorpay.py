"""A Razorpay payment over real HTTP: page → service ⇄ simulator → webhook → service."""

from tests.support.house import House


def test_a_payment_completes_by_its_webhook_alone(house: House) -> None:
    order = house.create_order(499)["order"]
    house.simulate(f"orders/{order['orderId']}/success")
    paid = house.wait_for_status(order["orderId"], "completed")
    assert paid["amount"] == 499
    assert paid["paymentId"].startswith("pay_")

"""Every state that a payer can find our pages in, and how to get there: for axe and for the screenshots."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from playwright.sync_api import Page, Route, expect
from sqlalchemy import update

from payments_service.store.tables import Payment, PaymentOrder, PaymentReference
from tests.support.house import House

CHECKOUT_SCRIPT = "**/v1/checkout.js"
FAR = datetime(2100, 1, 1, tzinfo=UTC)
DESCRIPTION = "Course in photography: six evenings"


@dataclass(frozen=True)
class State:
    """`heading`: what it says in English, by which one knows that the page has got there."""

    name: str
    heading: str
    show: Callable[[Page, House, str], None]


def change(house: House, payment_id: str, **columns: Any) -> None:
    """What somebody else has written into the ledger meanwhile."""
    with house.database() as database, database.begin() as session:
        session.execute(update(Payment).where(Payment.id == UUID(payment_id)).values(**columns))


def order(house: House, gateway: str = "razorpay") -> dict[str, Any]:
    return house.create_order(
        gateway=gateway, returnUrl=f"{house.url}/payment-status", description=DESCRIPTION
    )


def visit(page: Page, created: dict[str, Any], language: str) -> None:
    page.goto(f"{created['order']['paymentUrl']}?lang={language}", wait_until="domcontentloaded")


def answer_script(page: Page, body: str) -> None:
    page.route(CHECKOUT_SCRIPT, lambda route: route.fulfill(content_type="text/javascript", body=body))


HELD: list[Route] = []


def hold(route: Route) -> None:
    """Not answered before `let_go`."""
    HELD.append(route)


def let_go() -> None:
    while HELD:
        HELD.pop().abort()


# ── the hosted page while it can be paid ────────────────────────────────────────────────────────────


def opening(page: Page, house: House, language: str) -> None:
    page.route(CHECKOUT_SCRIPT, hold)
    visit(page, order(house), language)


def slow(page: Page, house: House, language: str) -> None:
    page.clock.install()
    opening(page, house, language)
    expect(page.locator("#stage")).to_have_attribute("data-mood", "opening")
    page.clock.fast_forward(10_000)
    expect(page.locator("#stage")).to_have_attribute("data-mood", "slow")


def blocked(page: Page, house: House, language: str) -> None:
    answer_script(page, "/* something else */")
    visit(page, order(house), language)


def opened(page: Page, house: House, language: str) -> None:
    visit(page, order(house), language)
    expect(page.frame_locator(".razorpay-checkout-frame").locator("#pay-upi")).to_be_visible()


def shown_again(page: Page, house: House, language: str) -> None:
    opened(page, house, language)
    page.reload()


def closed(page: Page, house: House, language: str) -> None:
    opened(page, house, language)
    page.frame_locator(".razorpay-checkout-frame").locator("#close-checkout").click()


def decline(page: Page) -> None:
    """The payer chooses a bank in Razorpay's window, and the bank says no."""
    checkout = page.frame_locator(".razorpay-checkout-frame")
    checkout.locator("#tab-netbanking summary").click()
    checkout.locator("#pay-netbanking").click()
    checkout.locator("#bank-failure").click()
    expect(page.locator("#stage")).to_have_attribute("data-mood", "declined")


def declined(page: Page, house: House, language: str) -> None:
    """The bank said no, and the payer closed the window after it."""
    opened(page, house, language)
    decline(page)
    page.frame_locator(".razorpay-checkout-frame").locator("#close-checkout").click()
    expect(page.locator(".razorpay-checkout-frame")).to_have_count(0)


# ── the hosted page otherwise ───────────────────────────────────────────────────────────────────────


def in_ledger(**columns: Any) -> Callable[[Page, House, str], None]:
    def show(page: Page, house: House, language: str) -> None:
        created = order(house)
        change(house, created["id"], asked_at=FAR, **columns)
        visit(page, created, language)

    return show


def preparing(page: Page, house: House, language: str) -> None:
    created = order(house)
    with house.database() as database, database.begin() as session:
        mine = PaymentOrder.payment_id == UUID(created["id"])
        session.execute(update(PaymentOrder).where(mine).values(checkout=None))
    change(house, created["id"], status="initiated", order_id=None, asked_at=FAR)
    visit(page, created, language)


def completed(page: Page, house: House, language: str) -> None:
    created = order(house)
    house.simulate(f"orders/{created['order']['orderId']}/success")
    house.wait_for_status(created["id"], "completed")
    change(house, created["id"], reference="A-1001", price_verified=True)
    visit(page, created, language)


def unknown(page: Page, house: House, language: str) -> None:
    page.goto(f"{house.url}/pay/{uuid4()}?lang={language}")


def without_script(page: Page, house: House, language: str) -> None:
    """For a page whose JavaScript is switched off."""
    visit(page, order(house), language)


# ── the demo shop ───────────────────────────────────────────────────────────────────────────────────


def shop(page: Page, house: House, _: str) -> None:
    page.goto(f"{house.url}/")


def buy(page: Page, house: House) -> None:
    page.goto(f"{house.url}/")
    page.get_by_role("button", name="Pay", exact=True).click()
    checkout = page.frame_locator(".razorpay-checkout-frame")
    expect(checkout.locator("#pay-upi")).to_be_visible()


def bought(page: Page, house: House, _: str) -> None:
    """Paid in the shop; the panel has heard the webhook."""
    buy(page, house)
    page.frame_locator(".razorpay-checkout-frame").locator("#pay-upi").click()
    expect(page.locator("#stage")).to_have_attribute("data-status", "completed")
    expect(page.locator("[data-kind=webhook]").first).to_be_visible()
    expect(page.locator("[data-kind=status]", has_text="completed")).to_be_visible()


def moved(page: Page, house: House, language: str) -> None:
    """The order number goes on at another gateway."""
    left, later, number = order(house), order(house, "phonepe"), f"ORDER-{uuid4()}"
    change(house, left["id"], reference=number, price_verified=True)
    with house.database() as database, database.begin() as session:
        session.add(PaymentReference(reference=number, payment_id=UUID(later["id"])))
    visit(page, left, language)


def reference(path: str) -> Callable[[Page, House, str], None]:
    def show(page: Page, house: House, _: str) -> None:
        page.goto(house.url + path)

    return show


def landed(status: str) -> Callable[[Page, House, str], None]:
    def show(page: Page, house: House, language: str) -> None:
        created = order(house)
        change(house, created["id"], status=status, asked_at=FAR)
        where = f"gateway=razorpay&orderId={created['order']['orderId']}&lang={language}"
        page.goto(f"{house.url}/payment-status?{where}")
        expect(page.locator("#stage")).to_have_attribute("data-status", status)
        expect(page.locator("#steps li")).not_to_have_count(0)

    return show


HOSTED = (
    State("opening", "One moment", opening),
    State("opened", "Ready to pay", opened),
    State("slow", "Still opening Razorpay", slow),
    State("blocked", "Razorpay could not be opened", blocked),
    State("closed", "Payment not finished", closed),
    State("declined", "That did not work", declined),
    State("shown-again", "Ready to pay", shown_again),
    State("preparing", "Preparing your payment", preparing),
    State("confirming", "Confirming your payment", in_ledger(status="authorized")),
    State("completed", "Paid", completed),
    State("failed", "Payment failed", in_ledger(status="failed")),
    State("expired", "Time is up", in_ledger(status="expired")),
    State("moved", "This payment has moved", moved),
    State("review", "We are looking into this payment", in_ledger(review="amount_mismatch")),
    State("unknown", "There is no such payment", unknown),
)
LANDING = (
    State("return-completed", "Paid", landed("completed")),
    State("return-pending", "Not paid yet", landed("pending")),
    State("return-failed", "Payment failed", landed("failed")),
    State("return-expired", "Time is up", landed("expired")),
)
SHOP = (
    State("shop", "Asha's Courses", shop),
    State("shop-bought", "Paid", bought),
    State("docs", "Payments API", reference("/docs")),
    State("docs-errors", "Error codes", reference("/docs/errors")),
)

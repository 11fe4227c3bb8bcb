"""A shop's server in Flask: quotes, events, refunds.   pip install flask requests standardwebhooks

Set PAYMENTS_URL, PAYMENTS_KEY (scopes write+refund), MERCHANT_WEBHOOK_SECRET, SHOP_DB, STAFF_TOKEN.
"""

import hmac
import os
import sqlite3

import requests
from flask import Flask, request
from standardwebhooks import Webhook, WebhookVerificationError

app = Flask(__name__)
db = sqlite3.connect(os.environ["SHOP_DB"], check_same_thread=False, isolation_level=None)
db.execute("CREATE TABLE IF NOT EXISTS orders (number TEXT PRIMARY KEY, paise INTEGER, paid_by TEXT)")


def ask(path, body, **headers):
    headers["Authorization"] = "Bearer " + os.environ["PAYMENTS_KEY"]
    answer = requests.post(os.environ["PAYMENTS_URL"] + path, json=body, headers=headers, timeout=40)
    return answer.json(), answer.status_code


def order(number):
    return db.execute("SELECT paise, paid_by FROM orders WHERE number = ?", (number,)).fetchone()


@app.post("/orders/<number>/quote")  # the page sends the quote to create-order, and no amount
def quote(number):
    if not (found := order(number)):
        return {"error": "There is no such order"}, 404
    rupees = f"{found[0] // 100}.{found[0] % 100:02}"
    return ask("/api/quote", {"amount": rupees, "reference": number})


@app.post("/hooks/payments")
def hear():
    secret = Webhook(os.environ["MERCHANT_WEBHOOK_SECRET"])
    try:
        event = secret.verify(request.get_data(), dict(request.headers))
    except WebhookVerificationError:
        return "", 400
    data = event["data"]
    if event["type"] == "payment.completed" and data["priceVerified"]:
        # An event may come twice: this does no harm then. In production, refuse data["mode"] == "test", too.
        paid = "UPDATE orders SET paid_by = ? WHERE number = ? AND paise = ?"
        db.execute(paid, (data["id"], data["reference"], data["amountPaise"]))
    return "", 204


@app.post("/orders/<number>/refund")  # the key makes a second click the same refund
def refund(number):
    if not hmac.compare_digest(request.headers.get("X-Staff-Token", ""), os.environ["STAFF_TOKEN"]):
        return {"error": "Staff only"}, 403
    if not (found := order(number)) or not found[1]:
        return {"error": "This order is not paid"}, 409
    key = {"Idempotency-Key": f"whole-refund-of-order-{number}"}
    return ask(f"/api/payment/{found[1]}/refunds", {}, **key)

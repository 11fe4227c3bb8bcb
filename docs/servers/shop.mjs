// A shop's server in Node 18 or later, without packages: quotes, events, refunds.   node shop.mjs
// Set PORT, PAYMENTS_URL, PAYMENTS_KEY (scopes write+refund), MERCHANT_WEBHOOK_SECRET, STAFF_TOKEN.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const { PAYMENTS_URL, PAYMENTS_KEY, MERCHANT_WEBHOOK_SECRET, STAFF_TOKEN, PORT } = process.env;
// Your database stands here: this one forgets everything when the process ends.
const orders = new Map([["ORDER-1001", { paise: 49905, paidBy: null }]]);

async function ask(path, body, headers = {}) {
  const all = { ...headers, Authorization: `Bearer ${PAYMENTS_KEY}`, "Content-Type": "application/json" };
  const answer = await fetch(PAYMENTS_URL + path, { method: "POST", headers: all, body: JSON.stringify(body) });
  return [answer.status, await answer.json()];
}

function isSame(one, other) {
  return one.length === other.length && timingSafeEqual(Buffer.from(one), Buffer.from(other));
}

function isGenuine(headers, body) {
  const { "webhook-id": id = "", "webhook-timestamp": second = "", "webhook-signature": given = "" } = headers;
  if (!(Math.abs(Date.now() / 1000 - Number(second)) < 300)) return false;
  const key = Buffer.from(MERCHANT_WEBHOOK_SECRET.replace("whsec_", ""), "base64");
  const right = "v1," + createHmac("sha256", key).update(`${id}.${second}.`).update(body).digest("base64");
  return given.split(" ").some((one) => isSame(one, right));
}

async function answer(path, headers, body) {
  if (path === "/hooks/payments") {
    if (!isGenuine(headers, body)) return [400, {}];
    const { type, data } = JSON.parse(body);
    const order = orders.get(data.reference);
    const isPaid = type === "payment.completed" && data.priceVerified && order?.paise === data.amountPaise;
    // An event may come twice: this does no harm then. In production, refuse data.mode "test", too.
    if (isPaid) order.paidBy = data.id;
    return [200, {}];
  }
  const [, number, wish] = path.match(/^\/orders\/([\w-]+)\/(quote|refund)$/) ?? [];
  const order = orders.get(number);
  if (!order) return [404, { error: "There is no such order" }];
  // The page sends the quote to create-order, and no amount.
  if (wish === "quote") return ask("/api/quote", { amount: (order.paise / 100).toFixed(2), reference: number });
  if (!isSame(headers["x-staff-token"] ?? "", STAFF_TOKEN)) return [403, { error: "Staff only" }];
  if (!order.paidBy) return [409, { error: "This order is not paid" }];
  // The key makes a second click the same refund.
  return ask(`/api/payment/${order.paidBy}/refunds`, {}, { "Idempotency-Key": `whole-refund-of-order-${number}` });
}

createServer(async (request, response) => {
  const body = Buffer.concat(await request.toArray());
  const [status, told] = await answer(request.url, request.headers, body).catch(() => [502, { error: "Try again" }]);
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(told));
}).listen(PORT, "127.0.0.1");

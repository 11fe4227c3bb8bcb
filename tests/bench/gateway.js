// Razorpay's orders, payments and their lists as fast as Node can, with a delay that is set from outside:
// PUT /_bench {"delayMs": 250}. GET /_bench/orders tells what it made, GET /_bench/asked how often it was asked about
// any order, and about one: /_bench/asked/ORDER. PUT /_bench {"known": "order_x"}: orders whose ids begin so are there,
// too, and open. Settings: PORT.
'use strict'

const http = require('node:http')

const KEEP_ALIVE_MS = 120_000
const UNKNOWN_ID = {
  error: {
    code: 'BAD_REQUEST_ERROR',
    description: 'The id provided does not exist',
    source: 'business',
    step: 'payment_initiation',
    reason: 'input_validation_failed',
    metadata: {},
  },
}
const orders = new Map()
const asked = new Map()
let asks = 0
let delayMs = 0
let known = null

function create({ amount, currency, receipt }) {
  const order = open(`order_${orders.size.toString(36).toUpperCase().padStart(14, '0')}`, amount, currency, receipt)
  orders.set(order.id, order)
  return order
}

function open(id, amount, currency, receipt) {
  return {
    id,
    entity: 'order',
    amount,
    amount_paid: 0,
    amount_due: amount,
    currency,
    receipt,
    offer_id: null,
    status: 'created',
    attempts: 0,
    notes: [],
    created_at: Math.floor(Date.now() / 1000),
  }
}

function collection(items) {
  return { entity: 'collection', count: items.length, items }
}

function answer(method, url, body) {
  const { pathname, searchParams } = new URL(url, 'http://gateway')
  const [, order, list] = pathname.match(/^\/v1\/orders\/([^/]+)(\/payments)?$/) || []
  if (pathname === '/v1/orders' && method === 'POST') return [200, create(JSON.parse(body))]
  if (pathname === '/v1/orders') {
    return [200, collection([...orders.values()].filter((one) => one.receipt === searchParams.get('receipt')))]
  }
  if (order) {
    asks += 1
    asked.set(order, (asked.get(order) || 0) + 1)
  }
  if (known && order && order.startsWith(known)) return [200, list ? collection([]) : open(order, 49900, 'INR', `w${order}`)]
  if (orders.has(order)) return [200, list ? collection([]) : orders.get(order)]
  return [400, UNKNOWN_ID]
}

function send(response, status, body) {
  const text = JSON.stringify(body)
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
  response.end(text)
}

function control(request, response, body) {
  if (request.method === 'PUT') ({ delayMs = delayMs, known = known } = JSON.parse(body))
  const [, , what, order] = request.url.split('/')
  if (what === 'orders') return send(response, 200, [...orders.values()])
  if (what === 'asked') return send(response, 200, { times: order ? asked.get(order) || 0 : asks })
  send(response, 200, { delayMs })
}

const server = http.createServer((request, response) => {
  const parts = []
  request.on('data', (part) => parts.push(part))
  request.on('end', () => {
    const body = Buffer.concat(parts).toString()
    if (request.url.startsWith('/_bench')) return control(request, response, body)
    const speak = () => send(response, ...answer(request.method, request.url, body))
    if (delayMs) setTimeout(speak, delayMs)
    else speak()
  })
})
server.keepAliveTimeout = KEEP_ALIVE_MS
server.listen(Number(process.env.PORT), '127.0.0.1')

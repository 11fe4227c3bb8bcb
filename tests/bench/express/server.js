// What the benchmark compares with: the doors of the original design in Express. It asks the gateway, checks
// signatures, writes a log line, and stores nothing. Settings: PORT, GATEWAY_URL, KEY_ID, KEY_SECRET, WEBHOOK_SECRET.
'use strict'

const crypto = require('node:crypto')
const http = require('node:http')
const express = require('express')

const { PORT, GATEWAY_URL, KEY_ID, KEY_SECRET, WEBHOOK_SECRET } = process.env
const AUTHORIZATION = 'Basic ' + Buffer.from(`${KEY_ID}:${KEY_SECRET}`).toString('base64')
const agent = new http.Agent({ keepAlive: true })
const app = express()
const json = express.json()

function log(message, data) {
  console.log(`[${new Date().toISOString()}] [INFO] ${message} ${JSON.stringify(data)}`)
}

function hmac(secret, message) {
  return crypto.createHmac('sha256', secret).update(message).digest('hex')
}

function same(left, right) {
  const [a, b] = [Buffer.from(String(left)), Buffer.from(right)]
  return a.length === b.length && crypto.timingSafeEqual(a, b)
}

function gateway(method, path, body) {
  return new Promise((resolve, reject) => {
    const text = body && JSON.stringify(body)
    const headers = { authorization: AUTHORIZATION, 'content-type': 'application/json' }
    if (text) headers['content-length'] = Buffer.byteLength(text)
    const request = http.request(GATEWAY_URL + path, { method, agent, headers }, (answer) => {
      const parts = []
      answer.on('data', (part) => parts.push(part))
      answer.on('error', reject)
      answer.on('end', () => {
        if (answer.statusCode !== 200) return reject(new Error(`the gateway answered ${answer.statusCode}`))
        resolve(JSON.parse(Buffer.concat(parts)))
      })
    })
    request.on('error', reject)
    request.end(text)
  })
}

app.get('/health', (request, response) => {
  response.json({ status: 'ok', message: 'Payment service is running', timestamp: new Date().toISOString() })
})

app.post('/api/payment/create-order', json, async (request, response) => {
  const { amount, gateway: name, customer } = request.body
  const isWhole = amount > 0 && customer && customer.name && customer.email && /^[6-9][0-9]{9}$/.test(customer.phone)
  if (name !== 'razorpay' || !isWhole) return response.status(400).json({ error: 'Invalid input' })
  const receipt = `order_${crypto.randomUUID()}`
  log('Creating order', { gateway: name, amount, email: `${customer.email[0]}***` })
  const order = await gateway('POST', '/v1/orders', { amount: Math.round(amount * 100), currency: 'INR', receipt })
  response.json({
    success: true,
    gateway: name,
    order: {
      orderId: order.id,
      amount: order.amount,
      currency: order.currency,
      status: order.status,
      razorpayKey: KEY_ID,
    },
  })
})

app.post('/api/payment/verify-payment', json, async (request, response) => {
  const { orderId, paymentId, signature } = request.body
  if (!same(signature, hmac(KEY_SECRET, `${orderId}|${paymentId}`))) {
    return response.status(400).json({ error: 'Payment signature verification failed' })
  }
  const payment = await gateway('GET', `/v1/payments/${encodeURIComponent(paymentId)}`)
  log('Verified', { gateway: 'razorpay', orderId, paymentId, status: payment.status })
  response.json({ success: true, gateway: 'razorpay', orderId, paymentId, status: payment.status })
})

app.get('/api/payment/status/razorpay/:orderId', async (request, response) => {
  const order = await gateway('GET', `/v1/orders/${encodeURIComponent(request.params.orderId)}`)
  response.json({ success: true, gateway: 'razorpay', orderId: order.id, status: order.status })
})

app.post('/api/webhook/razorpay', express.raw({ type: '*/*' }), (request, response) => {
  const signature = request.get('x-razorpay-signature')
  if (!signature || !same(signature, hmac(WEBHOOK_SECRET, request.body))) {
    return response.status(401).json({ error: 'The webhook signature is wrong' })
  }
  const event = JSON.parse(request.body)
  const payment = event.payload.payment.entity
  log('Webhook', { gateway: 'razorpay', type: event.event, paymentId: payment.id, status: payment.status })
  response.json({ success: true, message: 'Webhook received' })
})

app.use((error, request, response, next) => {
  log('Error', { path: request.path, error: error.message })
  response.status(502).json({ error: 'Failed' })
})

app.listen(Number(PORT), '127.0.0.1')

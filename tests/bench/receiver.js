// A merchant's application that takes every event, after a delay: PUT /_bench {"delayMs": 200}. GET /_bench tells how
// many it took, and how many came again; GET /_bench/ID how often the one of that id came. Settings: PORT.
'use strict'

const http = require('node:http')

const taken = new Map()
let count = 0
let delayMs = 0

function send(response, value) {
  const text = JSON.stringify(value)
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
  response.end(text)
}

function take(id, response) {
  count += 1
  taken.set(id, (taken.get(id) || 0) + 1)
  send(response, { ok: true })
}

const server = http.createServer((request, response) => {
  const parts = []
  request.on('data', (part) => parts.push(part))
  request.on('end', () => {
    if (!request.url.startsWith('/_bench')) {
      return setTimeout(() => take(request.headers['webhook-id'], response), delayMs)
    }
    if (request.method === 'PUT') delayMs = JSON.parse(Buffer.concat(parts).toString()).delayMs
    send(response, { taken: count, again: count - taken.size, times: taken.get(request.url.split('/')[2]) || 0 })
  })
})
server.listen(Number(process.env.PORT), '127.0.0.1')

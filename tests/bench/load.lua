-- wrk -s load.lua URL -- FILE: the requests of FILE, one after the other, from the beginning again after the last.
-- FILE holds whole HTTP requests, each behind a line with its length in bytes. Run by one thread of wrk.

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  requests, sent = {}, 0
  for length in file:lines() do
    requests[#requests + 1] = file:read(tonumber(length))
  end
  file:close()
end

function request()
  sent = sent + 1
  return requests[(sent - 1) % #requests + 1]
end

function done(summary, latency)
  local errors = summary.errors
  local line = '\nRESULT {"answered": %d, "refused": %d, "broken": %d, "timeouts": %d, "sent": %d, ' ..
    '"seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f}\n'
  io.write(line:format(summary.requests, errors.status, errors.connect + errors.read + errors.write,
    errors.timeout, threads[1]:get("sent"), summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end

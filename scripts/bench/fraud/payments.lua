-- Load of distinct payments for wrk: wrk ... URL -- TOKEN PREFIX ACCOUNTS MERCHANTS [MERCHANT]
local counter, prefix, accounts, merchants, fixed = 0, "", 1, 1, nil
local stamp, second = "", 0

function init(args)
  prefix, accounts, merchants, fixed = args[2], tonumber(args[3]), tonumber(args[4]), args[5]
  wrk.method = "POST"
  wrk.headers["content-type"] = "application/json"
  wrk.headers["authorization"] = "Bearer " .. args[1]
  math.randomseed(os.time())
end

function request()
  counter = counter + 1
  local now = os.time()
  if now ~= second then second, stamp = now, os.date("!%Y-%m-%dT%H:%M:%SZ", now) end
  local merchant = math.random(0, merchants - 1)
  local place = merchant % 1000
  return wrk.format(nil, nil, nil, string.format(
    '{"transaction_id":"%s-%d","user_id":"u-%d","amount":%d.%02d,"currency":"USD","merchant_id":"%s","timestamp":"%s",' ..
    '"location":{"latitude":%.1f,"longitude":%d},"payment_method":"card_present"}',
    prefix, counter, math.random(0, accounts - 1), math.random(1, 200), math.random(0, 99),
    fixed or ("m-" .. merchant), stamp, 25 + (place % 40) * 0.6, -120 + math.floor(place / 40) * 2))
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    'RESULT {"requests":%d,"micros":%d,"failed":%d,"p50":%d,"p90":%d,"p99":%d,"max":%d}',
    summary.requests, summary.duration, errors.status + errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max))
end

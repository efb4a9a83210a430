-- For wrk: POST a batch of 20 events, the contract's shape, the same bytes each time.
local events = {}
for i = 1, 20 do
  events[i] = string.format(
    '{"id":"ev-%d","type":"click","user_id":%d,"ts":%d,"tags":["web","eu","t-%d"],' ..
    '"payload":{"page":"/items/%d","referrer":"newsletter"}}',
    i, i * 7, 1700000000 + i, i % 5, i)
end
wrk.method = "POST"
wrk.body = "[" .. table.concat(events, ",") .. "]"
wrk.headers["Content-Type"] = "application/json"

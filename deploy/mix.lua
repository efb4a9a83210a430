-- For wrk: all routes of the contract in all styles, good input and bad, from a seed per thread.
-- Users that it creates it deletes again, so that a long run has no more live data at its end.
-- No HEAD: wrk waits for the body that its answer must not have.
-- Counts every status; prints `mix: ...` lines at the end, which deploy/soak reads.
local threads = {}

function setup(thread)
  thread:set("number", #threads + 1)
  table.insert(threads, thread)
end

local created = {}
local user = '{"name":"Mix User","email":"mix@example.com","active":true,"score":1.5,' ..
  '"roles":["reader","a role of more than fifteen bytes"],"address":{"street":"1 High Street",' ..
  '"city":"Springfield","country":"Freedonia","zip":"00001"},"tags":["alpha","beta","tag-1"]}'
local json = { ["Content-Type"] = "application/json" }

local function events(count)
  local all = {}
  for i = 1, count do
    all[i] = string.format('{"id":"ev-%d","type":"click","user_id":%d,"ts":%d,"tags":["web","eu"],' ..
      '"payload":{"page":"/items/%d","referrer":"newsletter"}}', i, i * 7, 1700000000 + i, i)
  end
  return "[" .. table.concat(all, ",") .. "]"
end
local twenty, two_hundred = events(20), events(200)

-- Bad input: each is answered 4xx.
local bad = {
  function() return wrk.format("GET", "/api/users/none") end,
  function() return wrk.format("GET", "/api/users?limit=0") end,
  function() return wrk.format("POST", "/api/users", json, '{"name":') end,
  function() return wrk.format("POST", "/pooled/users", json, '{"name":"half a user","roles":["reader"],"tags":[1') end,
  function() return wrk.format("POST", "/api/events", json, '[{"id":"x","type":1}]') end,
  function() return wrk.format("POST", "/pooled/events", json, '[{"id":"x","type":"click"},{"id":2}]') end,
  function() return wrk.format("POST", "/api/echo", json, '[1,2,]') end,
  function() return wrk.format("POST", "/naive/users", { ["Content-Type"] = "text/plain" }, "x") end,
  function() return wrk.format("PATCH", "/api/users/1") end,
  function() return wrk.format("GET", "/api/churn?bytes=100&object=63") end,
  function() return wrk.format("GET", "/no/such/path") end,
}

local good = {
  { 10, function() return wrk.format("GET", "/healthz") end },
  { 30, function(p) return wrk.format("GET", p .. "/users/" .. math.random(0, 999)) end },
  { 3, function(p)
    return wrk.format("GET", p .. "/users?offset=" .. math.random(0, 900) .. "&limit=" .. math.random(1, 50))
  end },
  { 3, function(p) return wrk.format("POST", p .. "/users", json, user) end },
  { 4, function(p)
    local path = table.remove(created)
    return path and wrk.format("DELETE", path) or wrk.format("GET", p .. "/users/1")
  end },
  { 3, function(p) return wrk.format("PUT", p .. "/users/" .. math.random(0, 999), json, user) end },
  { 10, function(p) return wrk.format("POST", p .. "/events", json, twenty) end },
  { 1, function(p) return wrk.format("POST", p .. "/events", json, two_hundred) end },
  { 5, function(p) return wrk.format("POST", p .. "/echo", json, ' { "a" : [ 1, 2.50, "x" ] , "b" : null } ') end },
  { 5, function(p)
    return wrk.format("GET", p .. "/churn?bytes=" .. math.random(0, 65536) .. "&object=64&live=0")
  end },
  { 1, function(p) return wrk.format("GET", p .. "/churn?bytes=1048576&object=1024&live=524288") end },
  { 1, function() return wrk.format("GET", "/metrics") end },
}

local styles = { "/api", "/naive", "/pooled" }

local wheel = {}
for _, entry in ipairs(good) do
  for _ = 1, entry[1] do table.insert(wheel, entry[2]) end
end

function init()
  math.randomseed(20261121 + number)
  statuses = {}
  unexpected = 0
  bad_sent, bad_answered = 0, 0
end

function request()
  if math.random(1, 50) == 1 then
    bad_sent = bad_sent + 1
    return bad[math.random(1, #bad)]()
  end
  return wheel[math.random(1, #wheel)](styles[math.random(1, #styles)])
end

function response(status, headers)
  statuses[status] = (statuses[status] or 0) + 1
  if status == 201 and headers["Location"] then table.insert(created, headers["Location"]) end
  if status >= 500 or status < 200 then
    unexpected = unexpected + 1
  elseif status >= 400 then
    bad_answered = bad_answered + 1
  end
end

function done(summary)
  local sum, fives, sent, answered = {}, 0, 0, 0
  for _, thread in ipairs(threads) do
    for status, count in pairs(thread:get("statuses")) do sum[status] = (sum[status] or 0) + count end
    fives = fives + thread:get("unexpected")
    sent = sent + thread:get("bad_sent")
    answered = answered + thread:get("bad_answered")
  end
  for status, count in pairs(sum) do io.write(string.format("mix: status %d %d\n", status, count)) end
  local e = summary.errors
  io.write(string.format("mix: requests %d\n", summary.requests))
  io.write(string.format("mix: errors %d\n", fives + e.connect + e.read + e.write + e.timeout))
  io.write(string.format("mix: bad_sent %d bad_answered %d\n", sent, answered))
end

-- Tells the results as JSON, in one line. What @THIS@ stands for is put in at each run.
local requests = {}
local turn = 0

function init(args)
    local body = string.rep("x", @BODY@)
    local method = #body > 0 and "POST" or "GET"
    for index = 1, math.max(1, math.min(@HOSTS@, 4096)) do
        local headers = { Host = "@HOST@" }
        if @HOSTS@ > 0 then
            headers.Host = "shop-" .. math.random(0, @HOSTS@ - 1) .. ".example.com"
        end
        if @CLOSE@ then
            headers.Connection = "close"
        end
        requests[index] = wrk.format(method, "@PATH@", headers, body)
    end
end

function request()
    turn = turn % #requests + 1
    return requests[turn]
end

function done(summary, latency, _)
    local errors = summary.errors
    io.write(string.format(
        '{"count": %d, "us": %d, "p50": %d, "p99": %d, "p999": %d, "failed": %d}\n',
        summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end

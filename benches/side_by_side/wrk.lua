-- Arguments: the bytes of a POST's body, 0 for a GET. What wrk's own report leaves out is told in a line of its own.
function init(args)
    local bytes = tonumber(args[1])
    if bytes > 0 then
        wrk.method = "POST"
        wrk.body = string.rep("x", bytes)
    end
end

function done(summary, latency, requests)
    local times = { latency.mean, latency:percentile(50), latency:percentile(99), latency:percentile(99.9) }
    local errors = summary.errors
    local broken = errors.connect + errors.read + errors.write + errors.timeout
    print(string.format("TOLD %d %d %d %d %.1f %.1f %.1f %.1f",
        summary.requests, summary.duration, errors.status, broken, times[1], times[2], times[3], times[4]))
end

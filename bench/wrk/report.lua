-- the end of a run as one line of JSON

return function(summary, latency)
    local e = summary.errors

    print(string.format(
        'JSON {"requests":%d,"seconds":%.6f,"bytes":%d,"p50_ms":%.3f,'
        .. '"p99_ms":%.3f,"bad_status":%d,"errors":%d}',
        summary.requests, summary.duration / 1e6, summary.bytes,
        latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
        e.status, e.connect + e.read + e.write + e.timeout))
end

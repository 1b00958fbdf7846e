-- GET of the paths in a file, one a line, in turns:
--     wrk ... -s get.lua URL -- FILE

local requests = {}
local n = 0

function init(args)
    for path in io.lines(args[1]) do
        requests[#requests + 1] = wrk.format("GET", path)
    end
end

function request()
    n = n % #requests + 1
    return requests[n]
end

-- wrk calls it at the end of the run
local here = debug.getinfo(1, "S").source:match("@(.*/)") or ""
done = dofile(here .. "report.lua")

"""The bars: number -> (what it is about, its measurement).  A measurement
takes a Bench and returns the rows of its bar."""

from . import (accept, backlog, burst, held, jobs, large, lone, memory,
               prefer, results, waiters, wake)

BARS = {
    1: ('durable accepts', accept.measure),
    2: ('accept, run and store', jobs.measure_rate),
    3: ('CPU per job', jobs.measure_cpu),
    4: ('5,000 calls at once', burst.measure),
    5: ('memory per call in flight', memory.measure),
    6: ('1,000,000 waiting jobs', backlog.measure_waiting),
    7: ('restart with 1,000,000 jobs', backlog.measure_restart),
    8: ('results', results.measure),
    9: ('held calls', held.measure),
    10: ('async prefer, not asked for', prefer.measure),
    11: ('end of a call to its client', wake.measure),
    12: ('10,000 long-pollers', waiters.measure),
    13: ('one lone submission', lone.measure),
    14: ('a response of 1 GB', large.measure),
}

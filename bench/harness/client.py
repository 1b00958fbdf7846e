"""A small HTTP client for what is not itself measured."""

import collections
import http.client
import json
import re
import time
from urllib.parse import urlsplit

JSON_1K = '{"report":"' + 'x' * 1011 + '"}'


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body


class Client:
    """Kept connection to a port of this machine."""

    def __init__(self, port, timeout=30):
        self.http = http.client.HTTPConnection('127.0.0.1', port,
                                               timeout=timeout)

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.http.close()

    def request(self, method, path, body=None):
        headers = {'Content-Type': 'application/json'} if body else {}
        self.http.request(method, path, body, headers)
        response = self.http.getresponse()

        return Answer(response.status, response.headers, response.read())

    def get(self, path, expect=200):
        return self._expect('GET', path, None, expect)

    def post(self, path, expect):
        return self._expect('POST', path, JSON_1K, expect)

    def submit(self, path, method='POST'):
        """Makes a job; the path of its result."""

        answer = self.post(path, 202) if method == 'POST' \
            else self.get(path, 202)

        return urlsplit(answer.headers['Location']).path

    def _expect(self, method, path, body, status):
        answer = self.request(method, path, body)

        if answer.status != status:
            raise RuntimeError(f'{method} {path} was answered '
                               f'{answer.status}, not {status}')

        return answer

    def metrics(self, queue=None):
        """The metrics of a queue, or of all queues together: name ->
        value."""

        text = self.get('/metrics').body.decode()
        values = collections.Counter()

        for name, of, value in METRIC.findall(text):
            if queue in (None, of):
                values[name] += int(value)

        return values

    def settle(self, queue=None, timeout=60):
        """Waits until all jobs are finished, and their results stored; the
        monotonic time of that.  All must have succeeded."""

        wait_for(lambda: self._settled(queue), timeout, 0.003, 'jobs to end')

        return time.monotonic()

    def _settled(self, queue):
        values = self.metrics(queue)
        failed = values['jobs_failed_total']

        if failed:
            raise RuntimeError(f'{failed} jobs failed')

        return 0 < values['jobs_accepted_total'] \
            == values['jobs_succeeded_total']


METRIC = re.compile(r'^ngx_async_(\w+)\{queue="(.*)"\} (\d+)$', re.MULTILINE)


def wait_for(condition, timeout, interval, what):
    """Waits for a condition, with a deadline."""

    deadline = time.monotonic() + timeout

    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f'waited {timeout} s in vain for {what}')

        time.sleep(interval)


def backend_requests(port):
    """Requests that the instant backend has served so far (without those
    of this function)."""

    with Client(port) as client:
        text = client.get('/stub_status').body.decode()

    return json.loads(text.split('\n')[2].split()[2])

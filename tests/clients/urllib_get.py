# Fetches a URL as a script would, following redirects: status and body.

import sys
import urllib.error
import urllib.request

url, method, *body = sys.argv[1:]

request = urllib.request.Request(
    url, method=method, data=body[0].encode() if body else None)

try:
    with urllib.request.urlopen(request, timeout=60) as response:
        print(response.status, response.read().decode())

except urllib.error.HTTPError as error:
    print(error.code, error.reason)

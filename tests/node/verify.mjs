// Verifies callbacks with the library that their receivers use: reads lines of
// {"secret":...,"headers":{...},"body":"..."}, answers each with "ok" or why
// not.

import { createInterface } from 'node:readline';
import { Webhook } from 'standardwebhooks';

for await (const line of createInterface({ input: process.stdin })) {
    const { secret, headers, body } = JSON.parse(line);

    try {
        new Webhook(secret).verify(body, headers);
        console.log('ok');

    } catch (e) {
        console.log(e.message);
    }
}

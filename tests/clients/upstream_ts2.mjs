// A server by the TypeScript SDK 2.x, whose tools have results that are no objects; prints its port.
//
// Run as `node upstream_ts2.mjs MODULES`. It speaks 2026-07-28 to whoever does.

import { createServer } from 'node:http';
import { once } from 'node:events';
import { Readable } from 'node:stream';

import { load } from './tried.mjs';

const { createMcpHandler, McpServer } = await load('@modelcontextprotocol/server');
const { z } = await load('zod');

const Node = z.object({ name: z.string(), get next() { return z.array(Node); } });

const handler = createMcpHandler(() => {
    const server = new McpServer({ name: 'upstream', version: '1' });
    const tool = (name, outputSchema, structured) => server.registerTool(
        name, { description: name, inputSchema: z.object({}), outputSchema },
        async () => ({ content: [{ type: 'text', text: JSON.stringify(structured) }], structuredContent: structured }),
    );
    tool('numbers', z.array(z.number()), [1, 2]);
    tool('tree', z.array(Node), [{ name: 'a', next: [{ name: 'b', next: [] }] }]);
    tool('either', z.union([z.object({ a: z.number() }), z.string()]), { a: 1 });
    tool('plain', z.object({ a: z.number() }), { a: 1 });
    return server;
});

const listening = createServer(async (request, response) => {
    const body = ['GET', 'HEAD'].includes(request.method) ? undefined : Readable.toWeb(request);
    const address = new URL(request.url, `http://${request.headers.host}`);
    const { method, headers } = request;
    const answer = await handler.fetch(new Request(address, { method, headers, body, duplex: 'half' }));
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    if (answer.body) for await (const part of answer.body) response.write(part);
    response.end();
}).listen(0, '127.0.0.1');
await once(listening, 'listening');
console.log(listening.address().port);

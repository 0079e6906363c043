// Drives the client of the TypeScript SDK 2.x (`@modelcontextprotocol/client`), in each life of the protocol.

import { answer, command, drive, load, name, run, told, url } from './tried.mjs';

const { Client, StreamableHTTPClientTransport } = await load('@modelcontextprotocol/client');
const { StdioClientTransport } = await load('@modelcontextprotocol/client', './stdio');

await run(async () => {
    for (const mode of ['legacy', 'auto', { pin: '2026-07-28' }]) {
        const options = { capabilities: { elicitation: { form: {} } }, versionNegotiation: { mode } };
        const client = new Client({ name: 'ts2', version: '1' }, options);
        client.setRequestHandler('elicitation/create', answer);
        await client.connect(url ? new StreamableHTTPClientTransport(url) : new StdioClientTransport(command));
        told('connect', { mode: mode.pin ?? mode, revision: client.getNegotiatedProtocolVersion() });
        await drive(
            () => client.listTools(),
            (tool, args, options) => client.callTool({ name: name(tool), arguments: args }, options),
        );
        await client.close();
    }
});

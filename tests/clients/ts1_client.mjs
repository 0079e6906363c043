// Drives the client of the TypeScript SDK 1.x (`@modelcontextprotocol/sdk`).

import { answer, command, drive, load, name, run, told, url } from './tried.mjs';

const sdk = '@modelcontextprotocol/sdk';
const { Client } = await load(sdk, './client/index.js');
const { StdioClientTransport } = await load(sdk, './client/stdio.js');
const { StreamableHTTPClientTransport } = await load(sdk, './client/streamableHttp.js');
const { ElicitRequestSchema } = await load(sdk, './types.js');

await run(async () => {
    const client = new Client({ name: 'ts1', version: '1' }, { capabilities: { elicitation: {} } });
    client.setRequestHandler(ElicitRequestSchema, answer);
    let revision;
    const transport = url ? new StreamableHTTPClientTransport(url) : new StdioClientTransport(command);
    transport.setProtocolVersion = (plain => version => {
        revision = version;
        plain?.call(transport, version);
    })(transport.setProtocolVersion);
    await client.connect(transport);
    told('connect', { revision });
    await drive(
        () => client.listTools(),
        (tool, args, options) => client.callTool({ name: name(tool), arguments: args }, undefined, options),
    );
    await client.close();
});

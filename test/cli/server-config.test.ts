// The flags of `bramble server`: what is accepted, and 78 by name for everything else.

import test from 'ava';
import type { Context } from '#core/cli/command.ts';
import { readServerConfig, SERVER_FLAGS, type ServerConfig } from '#core/cli/server-config.ts';
import { probe, say } from './support.ts';

async function read(
  flags: readonly string[],
  environment: Record<string, string> = {},
): Promise<{ exit: number; stderr: string; config: ServerConfig | null }> {
  let config: ServerConfig | null = null;
  const command = probe({
    words: ['server'],
    family: 'server',
    positionals: [],
    flags: SERVER_FLAGS,
    async run(context: Context) {
      config = readServerConfig(context.settings, '/here');
      return 0;
    },
  });
  const said = await say(['server', ...flags], { commands: [command], environment });
  return { ...said, config };
}

test('readServerConfig: defaults', async (t) => {
  const { config } = await read(['--insecure']);
  t.deepEqual(config, {
    node: 'n1',
    listen: '127.0.0.1:7700',
    advertise: null,
    peers: null,
    join: null,
    dataDir: '/here/bramble-data',
    cluster: 'bramble',
    files: 100,
    keyFile: null,
    previousKeyFile: null,
    insecure: true,
    allowFaultInjection: false,
  });
});

test('readServerConfig: everything given', async (t) => {
  const { config } = await read([
    ...['--node', 'pi-2', '--listen', '[::]:7701', '--advertise', 'pi2.lan', '--data', '/var/x'],
    ...['--peers', 'pi-1=10.0.0.1:7700,pi-2=10.0.0.2', '--cluster', 'home', '--files', '0'],
    ...['--key-file', 'k', '--previous-key-file', 'old/k', '--allow-fault-injection'],
  ]);
  t.deepEqual(config, {
    node: 'pi-2',
    listen: '[::]:7701',
    advertise: 'pi2.lan:7700',
    peers: [
      { id: 'pi-1', address: '10.0.0.1:7700' },
      { id: 'pi-2', address: '10.0.0.2:7700' },
    ],
    join: null,
    dataDir: '/var/x',
    cluster: 'home',
    files: 0,
    keyFile: '/here/k',
    previousKeyFile: '/here/old/k',
    insecure: false,
    allowFaultInjection: true,
  });
});

test('readServerConfig: port 0 is for --listen alone', async (t) => {
  t.is((await read(['--insecure', '--listen', '127.0.0.1:0'])).config?.listen, '127.0.0.1:0');
  t.is((await read(['--insecure', '--advertise', '127.0.0.1:0'])).exit, 78);
});

const wrong: readonly (readonly [readonly string[], RegExp])[] = [
  [['--node', 'N1'], /--node is "N1"; it must be 1 to 32 of/],
  [['--node', 'a'.repeat(33)], /--node is "a{33}"/],
  [['--cluster', 'a b'], /--cluster is "a b"/],
  [['--listen', 'nowhere:99999'], /--listen is "nowhere:99999"; it must be HOST:PORT/],
  [['--listen', ':7700'], /--listen is ":7700"/],
  [['--listen', '::1'], /--listen is "::1"/],
  [['--files', '10001'], /--files is 10001; it must be at most 10000/],
  [['--files', 'many'], /--files must be a whole number/],
  [['--peers', '10.0.0.1:7700'], /--peers has "10\.0\.0\.1:7700"; each must be ID=HOST:PORT/],
  [['--peers', 'n2=10.0.0.2:7700'], /--peers names n2, but not this server, n1/],
  [['--peers', 'n1=10.0.0.1:1,n1=10.0.0.2:1'], /--peers names n1 twice/],
  [['--peers', 'n1=10.0.0.1:1,n2=10.0.0.1:1'], /--peers has the address 10\.0\.0\.1:1 twice/],
  [['--peers', 'n1=10.0.0.1:0'], /--peers has "n1=10\.0\.0\.1:0"/],
  [['--join', ':1'], /--join has ":1"; each must be HOST:PORT/],
  [['--join', 'a', '--peers', 'n1=a'], /Both --peers .* and --join/],
  [['--previous-key-file', 'k'], /an insecure server has no keys/],
  [['--key-file', 'k'], /Both --key-file \(k\) and --insecure/],
];
for (const [flags, message] of wrong) {
  test(`readServerConfig: ${flags.join(' ')} is exit 78`, async (t) => {
    const said = await read(['--insecure', ...flags]);
    t.is(said.exit, 78);
    t.regex(said.stderr, message);
  });
}

test('readServerConfig: neither key nor --insecure is exit 78', async (t) => {
  const said = await read([]);
  t.is(said.exit, 78);
  t.regex(said.stderr, /There is no key: give --key-file FILE/);
});

test('readServerConfig: --insecure as a flag beats BRAMBLE_KEY_FILE, and the other way round', async (t) => {
  t.true((await read(['--insecure'], { BRAMBLE_KEY_FILE: 'k' })).config?.insecure);
  t.is((await read(['--key-file', 'k'], { BRAMBLE_INSECURE: '1' })).config?.keyFile, '/here/k');
  t.is((await read([], { BRAMBLE_KEY_FILE: 'k', BRAMBLE_INSECURE: '1' })).exit, 78);
});

test('readServerConfig: an unknown flag is wrong usage, not configuration', async (t) => {
  t.is((await read(['--insecure', '--lisen', 'x'])).exit, 2);
});

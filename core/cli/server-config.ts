/**
 * The configuration of `bramble server`: its flags, and what they must be. Whatever is wrong here ends with 78 and names
 * the flag, its value and what would be right, since a service manager must not start such a server again and again.
 */

import { CLUSTER_NAME_PATTERN, LOGS_MAX, NODE_ID_PATTERN } from '../base/limits.ts';
import { ADDRESS_FORM, parseAddress } from './addresses.ts';
import type { Flag } from './command.ts';
import { badConfiguration } from './exit.ts';
import { CONFIG_FLAG } from './flags.ts';
import { fromFolder } from './paths.ts';
import type { Settings } from './settings.ts';

export interface ServerConfig {
  readonly node: string;
  /** `host:port`; port 0 lets the system choose. */
  readonly listen: string;
  /** What others are told to send to; null: the address that is listened on. */
  readonly advertise: string | null;
  /** The servers of a new cluster, this one among them; null: alone, or what the disk says. */
  readonly peers: readonly { readonly id: string; readonly address: string }[] | null;
  /** Servers of a cluster that exists, to be let into; null: none. */
  readonly join: readonly string[] | null;
  /** Absolute. */
  readonly dataDir: string;
  readonly cluster: string;
  /** How many of file_0, file_1, … a new cluster begins with. */
  readonly files: number;
  /** Absolute; null exactly if `insecure`. */
  readonly keyFile: string | null;
  /** Accepted beside the key while keys are changed. Absolute. */
  readonly previousKeyFile: string | null;
  readonly insecure: boolean;
  readonly allowFaultInjection: boolean;
}

export const SERVER_FLAGS: readonly Flag[] = [
  {
    name: 'node',
    type: 'text',
    placeholder: 'ID',
    help: 'this server’s name in its cluster: 1 to 32 of a-z, 0-9 and -',
    default: 'n1',
    configurable: true,
  },
  {
    name: 'listen',
    type: 'text',
    placeholder: 'HOST:PORT',
    help: 'the UDP address to listen on; port 0 picks a free one and says which',
    default: '127.0.0.1:7700',
    configurable: true,
  },
  {
    name: 'advertise',
    type: 'text',
    placeholder: 'HOST:PORT',
    help: 'the address that others reach this server at, if it is not the one of --listen',
    configurable: true,
  },
  {
    name: 'peers',
    type: 'list',
    placeholder: 'ID=HOST:PORT,…',
    help: 'all servers of a new cluster, this one too; read only while the data directory is empty',
    configurable: true,
  },
  {
    name: 'join',
    type: 'list',
    placeholder: 'HOST:PORT,…',
    help: 'servers of a cluster that exists: start empty beside them, then run bramble members add',
    configurable: true,
  },
  {
    name: 'data',
    type: 'text',
    placeholder: 'DIR',
    help: 'the directory for everything that must survive',
    default: 'bramble-data',
    configurable: true,
  },
  {
    name: 'cluster',
    type: 'text',
    placeholder: 'NAME',
    help: 'the cluster’s name: 1 to 64 of A-Z, a-z, 0-9, ., _ and -',
    default: 'bramble',
    configurable: true,
  },
  {
    name: 'files',
    type: 'integer',
    placeholder: 'N',
    help: 'how many logs file_0, file_1, … a new cluster begins with, guarded by the lock "files"',
    default: '100',
    configurable: true,
  },
  {
    name: 'key-file',
    type: 'text',
    placeholder: 'FILE',
    help: 'the cluster’s key (bramble key new makes one)',
    configurable: true,
  },
  {
    name: 'previous-key-file',
    type: 'text',
    placeholder: 'FILE',
    help: 'a cluster key that is accepted as well, while keys are changed',
    configurable: true,
  },
  {
    name: 'insecure',
    type: 'switch',
    help: 'no keys: anybody who can send a datagram can do anything',
    configurable: true,
  },
  {
    name: 'allow-fault-injection',
    type: 'switch',
    help: 'let the cluster’s agents delay, drop and pause here, for experiments',
    configurable: true,
  },
  CONFIG_FLAG,
];

/** Throws CommandError with exit 78 for the first thing that is wrong. */
export function readServerConfig(settings: Settings, folder: string): ServerConfig {
  const node = matching(settings, 'node', NODE_ID_PATTERN, '1 to 32 of a-z, 0-9 and -');
  const cluster = matching(settings, 'cluster', CLUSTER_NAME_PATTERN, '1 to 64 of A-Z, a-z, 0-9, ., _ and -');
  const listen = address(settings, 'listen', true) as string;
  const advertise = address(settings, 'advertise', false);
  const peers = readPeers(settings, node);
  const join = readJoin(settings);
  if (join !== null && peers !== null) {
    throw badConfiguration(
      'Both --peers (a new cluster) and --join (one that exists) are given; give one of them',
    );
  }
  const files = settings.number('files') as number;
  if (files > LOGS_MAX) {
    throw badConfiguration(`--files is ${files}; it must be at most ${LOGS_MAX}`);
  }
  const keyFile = settings.text('key-file');
  const previousKeyFile = settings.text('previous-key-file');
  const insecure = readInsecure(settings);
  if (previousKeyFile !== null && insecure) {
    throw badConfiguration(`--previous-key-file is ${previousKeyFile}, but an insecure server has no keys`);
  }
  return {
    node,
    listen,
    advertise,
    peers,
    join,
    dataDir: fromFolder(folder, settings.text('data') as string),
    cluster,
    files,
    keyFile: insecure || keyFile === null ? null : fromFolder(folder, keyFile),
    previousKeyFile: previousKeyFile === null ? null : fromFolder(folder, previousKeyFile),
    insecure,
    allowFaultInjection: settings.switch('allow-fault-injection'),
  };
}

/**
 * Whether there is to be no key. A flag beats a variable and a variable beats the file, so `--insecure` on the command line
 * wins over BRAMBLE_KEY_FILE; two of the same rank contradict each other.
 */
export function readInsecure(settings: Settings): boolean {
  const rank = { flag: 3, environment: 2, file: 1, default: 0 };
  const insecure = settings.switch('insecure');
  const keyFile = settings.text('key-file');
  if (insecure && keyFile !== null) {
    const keyRank = rank[settings.source('key-file') ?? 'default'];
    const insecureRank = rank[settings.source('insecure') ?? 'default'];
    if (keyRank === insecureRank) {
      throw badConfiguration(
        `Both --key-file (${keyFile}) and --insecure are given in the same place; give one of them`,
      );
    }
    return insecureRank > keyRank;
  }
  if (!insecure && keyFile === null) {
    throw badConfiguration(
      'There is no key: give --key-file FILE (BRAMBLE_KEY_FILE; bramble key new makes one), ' +
        'or --insecure (BRAMBLE_INSECURE=1) to do without on a network that you trust',
    );
  }
  return insecure;
}

function matching(settings: Settings, flag: string, pattern: RegExp, form: string): string {
  const value = settings.text(flag) as string;
  if (!pattern.test(value))
    throw badConfiguration(`--${flag} is ${JSON.stringify(value)}; it must be ${form}`);
  return value;
}

function address(settings: Settings, flag: string, anyPort: boolean): string | null {
  const value = settings.text(flag);
  if (value === null) return null;
  const parsed = parseAddress(value, { anyPort });
  if (parsed === null) {
    throw badConfiguration(`--${flag} is ${JSON.stringify(value)}; it must be ${ADDRESS_FORM}`);
  }
  return parsed;
}

function readJoin(settings: Settings): readonly string[] | null {
  const items = settings.list('join');
  if (items === null) return null;
  return items.map((item) => {
    const parsed = parseAddress(item);
    if (parsed === null)
      throw badConfiguration(`--join has ${JSON.stringify(item)}; each must be ${ADDRESS_FORM}`);
    return parsed;
  });
}

function readPeers(settings: Settings, node: string): ServerConfig['peers'] {
  const items = settings.list('peers');
  if (items === null) return null;
  const peers = items.map((item) => {
    const separator = item.indexOf('=');
    const id = item.slice(0, Math.max(0, separator));
    const parsed = parseAddress(item.slice(separator + 1));
    if (!NODE_ID_PATTERN.test(id) || parsed === null) {
      throw badConfiguration(
        `--peers has ${JSON.stringify(item)}; each must be ID=${ADDRESS_FORM}, the ID 1 to 32 of a-z, 0-9 and -`,
      );
    }
    return { id, address: parsed };
  });
  const twice = peers.find((peer, index) => peers.findIndex((other) => other.id === peer.id) !== index);
  if (twice !== undefined)
    throw badConfiguration(`--peers names ${twice.id} twice; each server is named once`);
  const same = peers.find(
    (peer, index) => peers.findIndex((other) => other.address === peer.address) !== index,
  );
  if (same !== undefined)
    throw badConfiguration(`--peers has the address ${same.address} twice; each has its own`);
  if (!peers.some((peer) => peer.id === node)) {
    throw badConfiguration(
      `--peers names ${peers.map((peer) => peer.id).join(', ')}, but not this server, ${node}`,
    );
  }
  return peers;
}

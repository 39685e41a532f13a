/**
 * Puts one server together: keys, disk, socket, endpoint, clock, and the loop between them; and ends it again.
 *
 * Order matters: the disk is read and found sound before anything is sent, and "listening" is said only when the server
 * serves. A clean end (SIGTERM, SIGINT, the parent's pipe) seals the log; a disk that failed for good does not.
 */

import { rm, writeFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { hex, unhex } from '../base/bytes.ts';
import type { Logger } from '../base/ports.ts';
import { nodeClock } from '../node/clock.ts';
import { nodeCrypto, nodeEntropy } from '../node/crypto.ts';
import { KeyFileError, readKeyFile } from '../node/keys-file.ts';
import { createLogger } from '../node/logger.ts';
import { resolveAddress } from '../node/resolve.ts';
import { type Member, votersOf } from '../raft/configuration.ts';
import type { LogEntry } from '../raft/types.ts';
import { Discovery, peerList } from '../server/discovery.ts';
import { FOUNDING_STATE, foundingEntry, Server, storedConfiguration } from '../server/server.ts';
import { DirectoryInUseError } from '../storage/directory-lock.ts';
import { openStorage } from '../storage/disk-storage.ts';
import { DamageError, type Storage } from '../storage/interface.ts';
import { formatAddress, parseAddress } from '../transport/address.ts';
import { createEndpoint } from '../transport/endpoint.ts';
import type { Endpoint } from '../transport/interface.ts';
import { openUdpSocket, type UdpSocket } from '../transport/udp.ts';
import { type KeyRing, serverKeyRing } from '../wire/keys.ts';
import type { Context } from './command.ts';
import { badConfiguration, CommandError, EXIT } from './exit.ts';
import { watchParentPipe } from './parent-pipe.ts';
import type { ServerConfig } from './server-config.ts';

const PID_FILE = 'bramble.pid';

/** Runs until it is told to stop; resolves to the exit code. */
export async function runServer(config: ServerConfig, context: Context): Promise<number> {
  const logger = createLogger({ node: config.node });
  const stopAsked = whenStopAsked();
  const keys = await readKeys(config, logger);
  const storage = await openData(config, logger);
  const surroundings = { config, context, storage, keys, logger };
  const socket = await listen(config.listen, storage);
  const pidFile = join(config.dataDir, PID_FILE);
  await writeFile(pidFile, `${process.pid}\n`);
  const announce = async (): Promise<void> => {
    const { node } = config;
    context.outliveStdout();
    await context.output.json({ event: 'listening', node, address: socket.address, pid: process.pid });
  };
  const stored = storedConfiguration(storage);
  const alone = stored === null ? isAlone(config) : votersOf(stored).length === 1;
  // With others to wait for, ready means ready to take part: whoever starts servers one by one must not wait for a quorum.
  if (!alone) await announce();
  const cluster = await belong(surroundings, socket, stopAsked);
  if (cluster === null) {
    await storage.close();
    await rm(pidFile, { force: true });
    return EXIT.fine;
  }
  let failed: (error: Error) => void = () => {};
  const failure = new Promise<Error>((resolve) => {
    failed = resolve;
  });
  const server = assemble({ ...surroundings, ...cluster, onFatal: (error) => failed(error) });
  const serving = server.start().then(() => null);
  if (alone && (await Promise.race([serving, failure, stopAsked])) === null) {
    // Whoever reads "listening" finds the files there.
    await Promise.race([storage.filesWritten(), failure, stopAsked]);
    await announce();
  }
  const end = await Promise.race([failure, stopAsked]);
  if (end instanceof Error) {
    // What is in memory and not on the disk must not be: the service manager starts again from what is durable.
    logger.log('error', `The disk failed: ${end.message}`, { do: 'check the card or the file system' });
    return EXIT.no;
  }
  logger.log('info', 'stopping', { because: end });
  await server.stop();
  await rm(pidFile, { force: true });
  return EXIT.fine;
}

/** Whether a new server has nobody to wait for. */
function isAlone(config: ServerConfig): boolean {
  return (config.peers?.length ?? 1) === 1 && (config.join?.length ?? 0) === 0;
}

interface Surroundings {
  readonly config: ServerConfig;
  readonly context: Context;
  readonly storage: Storage;
  readonly keys: KeyRing | null;
  readonly logger: Logger;
}

interface Belonging {
  readonly socket: UdpSocket;
  readonly clusterId: string;
  /** The log's first entry, if this server has just founded the cluster. */
  readonly founding: LogEntry | null;
}

/** Finds out which cluster this server belongs to, and founds it if that is its part; null: told to stop meanwhile. */
async function belong(
  surroundings: Surroundings,
  socket: UdpSocket,
  stopAsked: Promise<string>,
): Promise<Belonging | null> {
  const { config, storage, logger } = surroundings;
  const stored = storedConfiguration(storage);
  if (stored !== null) return { socket, clusterId: stored.clusterId, founding: null };
  const { storageId } = storage.recovered;
  const self = { node: config.node, storageId };
  if (isAlone(config)) {
    const address = advertised(config, socket);
    return { socket, ...(await found(surroundings, [{ ...self, address, voter: true }])) };
  }
  const peers = config.peers ?? [];
  const endpoint = openEndpoint(surroundings, socket, null);
  const discovery = new Discovery({
    self,
    peers,
    join: config.join ?? [],
    clusterName: config.cluster,
    endpoint,
    clock: nodeClock,
    logger,
  });
  const result = await Promise.race([discovery.result, stopAsked]);
  discovery.stop();
  const { address } = socket;
  await endpoint.close();
  if (typeof result === 'string') return null;
  if (result.type === 'wrong-cluster') {
    await storage.close();
    throw badConfiguration(
      `--cluster is ${config.cluster}, but ${result.node} belongs to cluster ${result.clusterName}`,
    );
  }
  // The cluster's name is part of every key from here on, so the endpoint is made anew, on the same port.
  const again = await listen(address, storage);
  if (result.type === 'join') {
    logger.log('info', 'joining a cluster that exists', { clusterId: result.clusterId });
    return { socket: again, clusterId: result.clusterId, founding: null };
  }
  const members = peers.map((peer) => ({
    node: peer.id,
    storageId: result.storageIds.get(peer.id) as string,
    address: peer.address,
    voter: true,
  }));
  return { socket: again, ...(await found(surroundings, members)) };
}

/** Writes the first entry of a new cluster's log, and says so only when it is durable: nobody else could write it again. */
async function found(
  { config, storage, logger }: Surroundings,
  members: readonly Member[],
): Promise<{ readonly clusterId: string; readonly founding: LogEntry }> {
  const clusterId = hex(nodeEntropy.bytes(16));
  const founding = foundingEntry({ clusterId, clusterName: config.cluster, members });
  const durable = new Promise<void>((resolve, reject) => {
    storage.onDurable(() => resolve());
    storage.onFatal(reject);
  });
  storage.write({ hardState: FOUNDING_STATE, entries: [founding] });
  await durable;
  logger.log('info', 'founded a cluster', { clusterId, members: members.map((one) => one.node).join(',') });
  return { clusterId, founding };
}

/** Resolves to what asked for the end: a signal's name, or that the parent is gone. */
function whenStopAsked(): Promise<string> {
  return new Promise((resolve) => {
    process.on('SIGTERM', () => resolve('SIGTERM'));
    process.on('SIGINT', () => resolve('SIGINT'));
    watchParentPipe(() => resolve('parent gone'));
  });
}

async function readKeys(config: ServerConfig, logger: Logger): Promise<KeyRing | null> {
  if (config.keyFile === null) {
    logger.log('warn', 'insecure: anybody who can send a datagram here can do anything', {
      do: 'give --key-file; bramble key new makes one',
    });
    return null;
  }
  try {
    const current = await readKeyFile(config.keyFile, ['cluster']);
    const previous =
      config.previousKeyFile === null ? null : await readKeyFile(config.previousKeyFile, ['cluster']);
    for (const warning of [...current.warnings, ...(previous?.warnings ?? [])]) logger.log('warn', warning);
    return serverKeyRing(nodeCrypto, current.key, previous?.key ?? null);
  } catch (error) {
    if (error instanceof KeyFileError) throw badConfiguration(error.message);
    throw error;
  }
}

async function openData(config: ServerConfig, logger: Logger): Promise<Storage> {
  try {
    const storage = await openStorage({
      directory: config.dataDir,
      clock: nodeClock,
      entropy: nodeEntropy,
      logger,
    });
    await checkIdentity(config, storage, logger);
    return storage;
  } catch (error) {
    if (error instanceof DirectoryInUseError) throw new CommandError(error.message, EXIT.no);
    if (error instanceof DamageError) {
      throw new CommandError(
        `Cannot start server ${config.node}: ${error.message}. It is the only copy here: restore ${config.dataDir} from a backup`,
        EXIT.refused,
      );
    }
    if ((error as NodeJS.ErrnoException).code !== undefined) {
      throw new CommandError(
        `Cannot use data directory ${config.dataDir}: ${(error as Error).message}`,
        EXIT.no,
      );
    }
    throw error;
  }
}

/** The directory belongs to one server of one cluster, whatever the flags say. */
async function checkIdentity(config: ServerConfig, storage: Storage, logger: Logger): Promise<void> {
  const stored = storedConfiguration(storage);
  if (stored === null) return;
  const member = stored.members.find((one) => one.storageId === storage.recovered.storageId);
  const problem =
    member !== undefined && member.node !== config.node
      ? `--node is ${config.node}, but ${config.dataDir} belongs to server ${member.node}`
      : stored.clusterName !== config.cluster
        ? `--cluster is ${config.cluster}, but ${config.dataDir} belongs to cluster ${stored.clusterName}`
        : null;
  if (problem !== null) {
    await storage.close();
    throw badConfiguration(problem);
  }
  if (config.peers === null) return;
  const told = peerList(config.peers);
  const known = peerList(stored.members.map((one) => ({ id: one.node, address: one.address })));
  if (told.join() === known.join()) return;
  logger.log('warn', '--peers is not read: the directory already belongs to a cluster with other members', {
    peers: told.join(','),
    members: known.join(','),
    do: 'change members with bramble members',
  });
}

async function listen(address: string, storage: Storage): Promise<UdpSocket> {
  try {
    return await openUdpSocket(await resolveAddress(address));
  } catch (error) {
    await storage.close();
    throw new CommandError(`Cannot listen on ${address}: ${(error as Error).message}`, EXIT.no);
  }
}

/** `clusterId` null: the server is part of no cluster yet. */
function openEndpoint(
  { keys, logger }: Pick<Surroundings, 'keys' | 'logger'>,
  socket: UdpSocket,
  clusterId: string | null,
): Endpoint {
  return createEndpoint({
    socket,
    clock: nodeClock,
    entropy: nodeEntropy,
    crypto: nodeCrypto,
    logger,
    keys,
    role: 'server',
    clusterId: clusterId === null ? null : (unhex(clusterId) as Uint8Array),
  });
}

interface Parts extends Surroundings, Belonging {
  readonly onFatal: (error: Error) => void;
}

function assemble(parts: Parts): Server {
  const { config, context, storage, socket, clusterId, founding, logger, onFatal } = parts;
  const others = (config.peers ?? []).filter((peer) => peer.id !== config.node).map((peer) => peer.address);
  return new Server({
    node: config.node,
    address: advertised(config, socket),
    version: context.version,
    clusterName: config.cluster,
    clusterId,
    founding,
    contacts: [...others, ...(config.join ?? [])],
    files: config.files,
    insecure: config.insecure,
    storage,
    endpoint: openEndpoint(parts, socket, clusterId),
    clock: nodeClock,
    entropy: nodeEntropy,
    logger,
    onFatal,
  });
}

/** Where others reach this server: as told, or where it listens; for a wildcard, this machine's first address. */
function advertised(config: ServerConfig, socket: UdpSocket): string {
  if (config.advertise !== null) return config.advertise;
  const named = config.peers?.find((peer) => peer.id === config.node);
  if (named !== undefined) return named.address;
  const parsed = parseAddress(socket.address);
  if (parsed === null || (parsed.host !== '0.0.0.0' && parsed.host !== '::')) return socket.address;
  const family = parsed.host === '::' ? 'IPv6' : 'IPv4';
  for (const addresses of Object.values(networkInterfaces())) {
    const outside = addresses?.find((one) => !one.internal && one.family === family);
    if (outside !== undefined) return formatAddress({ host: outside.address, port: parsed.port });
  }
  return formatAddress({ host: family === 'IPv6' ? '::1' : '127.0.0.1', port: parsed.port });
}

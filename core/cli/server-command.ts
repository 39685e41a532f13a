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
import { Server, storedConfiguration } from '../server/server.ts';
import { DirectoryInUseError } from '../storage/directory-lock.ts';
import { openStorage } from '../storage/disk-storage.ts';
import { DamageError, type Storage } from '../storage/interface.ts';
import { formatAddress, parseAddress } from '../transport/address.ts';
import { createEndpoint } from '../transport/endpoint.ts';
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
  const socket = await listen(config, storage);
  let failed: (error: Error) => void = () => {};
  const failure = new Promise<Error>((resolve) => {
    failed = resolve;
  });
  const server = assemble({
    config,
    context,
    storage,
    socket,
    keys,
    logger,
    onFatal: (error) => failed(error),
  });
  const pidFile = join(config.dataDir, PID_FILE);
  await writeFile(pidFile, `${process.pid}\n`);
  const ready = server.start().then(() => null);
  const early = await Promise.race([ready, failure, stopAsked]);
  if (early === null) {
    const { node } = config;
    context.outliveStdout();
    await context.output.json({ event: 'listening', node, address: socket.address, pid: process.pid });
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
  if (stored === null) {
    if (config.peers === null || config.peers.length === 1) return;
    await storage.close();
    throw badConfiguration(
      `--peers names ${config.peers.length} servers; this version forms clusters of one: name ${config.node} alone`,
    );
  }
  const member = stored.voters.find((voter) => voter.storageId === storage.recovered.storageId);
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
  if (config.peers !== null) {
    logger.log('info', '--peers is not read: the directory already belongs to a cluster', {
      members: stored.voters.map((voter) => voter.node).join(','),
    });
  }
}

async function listen(config: ServerConfig, storage: Storage): Promise<UdpSocket> {
  try {
    return await openUdpSocket(await resolveAddress(config.listen));
  } catch (error) {
    await storage.close();
    throw new CommandError(`Cannot listen on ${config.listen}: ${(error as Error).message}`, EXIT.no);
  }
}

interface Parts {
  readonly config: ServerConfig;
  readonly context: Context;
  readonly storage: Storage;
  readonly socket: UdpSocket;
  readonly keys: KeyRing | null;
  readonly logger: Logger;
  readonly onFatal: (error: Error) => void;
}

function assemble({ config, context, storage, socket, keys, logger, onFatal }: Parts): Server {
  const newClusterId = hex(nodeEntropy.bytes(16));
  const clusterId = storedConfiguration(storage)?.clusterId ?? newClusterId;
  const endpoint = createEndpoint({
    socket,
    clock: nodeClock,
    entropy: nodeEntropy,
    crypto: nodeCrypto,
    logger,
    keys,
    role: 'server',
    clusterId: unhex(clusterId) as Uint8Array,
  });
  return new Server({
    node: config.node,
    address: advertised(config, socket),
    version: context.version,
    clusterName: config.cluster,
    newClusterId,
    files: config.files,
    insecure: config.insecure,
    storage,
    endpoint,
    clock: nodeClock,
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

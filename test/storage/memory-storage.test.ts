import test from 'ava';
import { storageContract } from '../contract/storage.ts';
import { MemoryDisk, MemoryStorage } from '../support/memory-storage.ts';

storageContract(test, 'MemoryStorage', async () => {
  const disk = new MemoryDisk();
  return { open: async () => new MemoryStorage(disk) };
});

import test from 'ava';
import { storageContract } from '../contract/storage.ts';
import { openTest, temporaryDirectory } from '../support/storage-kit.ts';

storageContract(test, 'openStorage', async (t) => {
  const directory = await temporaryDirectory(t);
  return { open: () => openTest(directory) };
});

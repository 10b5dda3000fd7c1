import { AzureTable } from '../../lib/catalog/azureTable.ts';
import { MemoryTable } from '../../lib/catalog/memoryTable.ts';
import { describeEntityTable } from '../conformance/entityTable.ts';
import { startAzurite } from '../support/azurite.ts';

let tables = 0;

describeEntityTable('memory', () => Promise.resolve({ fresh: () => new MemoryTable(`memory${tables++}`) }));

describeEntityTable('Table Storage (Azurite)', async () => {
  const azurite = await startAzurite();
  const settings = { url: azurite.tableUrl('holdfastapp'), credential: azurite.credential() };
  return {
    fresh: () => new AzureTable(`conformance${tables++}`, settings),
    close: () => azurite.stop(),
  };
});

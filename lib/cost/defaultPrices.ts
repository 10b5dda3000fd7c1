import { type PriceTable, priceTableSchema, type RegionPrices } from './prices.ts';

/** A region whose prices lie by so much above (or below) those of the cheapest large one. */
const region = (storage: number, compute: number): RegionPrices => {
  const at = (usd: number, factor: number) => Math.round(usd * factor * 1e6) / 1e6;
  return {
    snapshotGiBMonth: { locallyRedundant: at(0.05, storage), zoneRedundant: at(0.05, storage) },
    blobGiBMonth: { hot: at(0.018, storage), cool: at(0.01, storage), cold: at(0.0036, storage) },
    operations10k: {
      hot: { write: at(0.05, storage), read: at(0.004, storage) },
      cool: { write: at(0.1, storage), read: at(0.01, storage) },
      cold: { write: at(0.18, storage), read: at(0.1, storage) },
    },
    workerHour: {
      Standard_D2as_v5: at(0.086 + 0.014, compute),
      Standard_D2s_v5: at(0.096 + 0.014, compute),
      Standard_D4as_v5: at(0.172 + 0.014, compute),
      Standard_D4s_v5: at(0.192 + 0.014, compute),
      '*': at(0.096 + 0.014, compute),
    },
  };
};

/**
 * The table that is shipped: an **estimate**. Pay-as-you-go list prices in US dollars of about the date it carries, rounded, for
 * locally redundant storage, other regions by rough factors. Who wants more puts a table of their own in its place.
 */
export const DEFAULT_PRICES: PriceTable = priceTableSchema.parse({
  name: 'shipped estimate',
  asOf: '2025-06-01',
  note: 'Rounded list prices, pay as you go, locally redundant storage, without discounts and taxes. An estimate: replace it by the prices of your own agreement.',
  currency: 'USD',
  regions: {
    '*': region(1.15, 1.2),
    eastus: region(1, 1),
    eastus2: region(1, 1),
    southcentralus: region(1, 1.05),
    westus2: region(1, 1),
    westus3: region(1, 1),
    centralus: region(1.05, 1.1),
    canadacentral: region(1.1, 1.1),
    northeurope: region(1.02, 1.1),
    westeurope: region(1.09, 1.2),
    uksouth: region(1.05, 1.2),
    francecentral: region(1.1, 1.2),
    germanywestcentral: region(1.1, 1.2),
    swedencentral: region(1.02, 1.1),
    switzerlandnorth: region(1.25, 1.35),
    southeastasia: region(1.1, 1.2),
    japaneast: region(1.1, 1.35),
    australiaeast: region(1.1, 1.3),
    brazilsouth: region(1.8, 1.6),
  },
  traffic: {
    areas: {
      eastus: 'North America',
      eastus2: 'North America',
      southcentralus: 'North America',
      westus2: 'North America',
      westus3: 'North America',
      centralus: 'North America',
      canadacentral: 'North America',
      northeurope: 'Europe',
      westeurope: 'Europe',
      uksouth: 'Europe',
      francecentral: 'Europe',
      germanywestcentral: 'Europe',
      swedencentral: 'Europe',
      switzerlandnorth: 'Europe',
      southeastasia: 'Asia',
      japaneast: 'Asia',
      australiaeast: 'Oceania',
      brazilsouth: 'South America',
    },
    within: {
      'North America': 0.02,
      Europe: 0.02,
      Asia: 0.08,
      Oceania: 0.08,
      'South America': 0.16,
      '*': 0.08,
    },
    between: 0.08,
  },
});

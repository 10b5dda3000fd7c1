/** Regions that have no availability zones, and so keep nothing zone-redundant. */
const WITHOUT_ZONES = new Set([
  'australiacentral',
  'australiasoutheast',
  'brazilsoutheast',
  'canadaeast',
  'francesouth',
  'germanynorth',
  'koreasouth',
  'northcentralus',
  'norwaywest',
  'southafricawest',
  'southindia',
  'switzerlandwest',
  'uaecentral',
  'ukwest',
  'westcentralus',
  'westindia',
  'westus',
]);

export const hasZones = (location: string): boolean => !WITHOUT_ZONES.has(location);

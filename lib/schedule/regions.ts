import { HoldfastError, REGION_ZONE } from '../model/index.ts';

/** The clock on the wall where the region's data centres are. */
const ZONES: Readonly<Record<string, string>> = {
  australiacentral: 'Australia/Sydney',
  australiacentral2: 'Australia/Sydney',
  australiaeast: 'Australia/Sydney',
  australiasoutheast: 'Australia/Melbourne',
  austriaeast: 'Europe/Vienna',
  belgiumcentral: 'Europe/Brussels',
  brazilsouth: 'America/Sao_Paulo',
  brazilsoutheast: 'America/Sao_Paulo',
  canadacentral: 'America/Toronto',
  canadaeast: 'America/Toronto',
  centralindia: 'Asia/Kolkata',
  centralus: 'America/Chicago',
  centraluseuap: 'America/Chicago',
  chilecentral: 'America/Santiago',
  chinaeast: 'Asia/Shanghai',
  chinaeast2: 'Asia/Shanghai',
  chinaeast3: 'Asia/Shanghai',
  chinanorth: 'Asia/Shanghai',
  chinanorth2: 'Asia/Shanghai',
  chinanorth3: 'Asia/Shanghai',
  denmarkeast: 'Europe/Copenhagen',
  eastasia: 'Asia/Hong_Kong',
  eastus: 'America/New_York',
  eastus2: 'America/New_York',
  eastus2euap: 'America/New_York',
  francecentral: 'Europe/Paris',
  francesouth: 'Europe/Paris',
  germanynorth: 'Europe/Berlin',
  germanywestcentral: 'Europe/Berlin',
  indonesiacentral: 'Asia/Jakarta',
  israelcentral: 'Asia/Jerusalem',
  italynorth: 'Europe/Rome',
  japaneast: 'Asia/Tokyo',
  japanwest: 'Asia/Tokyo',
  jioindiacentral: 'Asia/Kolkata',
  jioindiawest: 'Asia/Kolkata',
  koreacentral: 'Asia/Seoul',
  koreasouth: 'Asia/Seoul',
  malaysiasouth: 'Asia/Kuala_Lumpur',
  malaysiawest: 'Asia/Kuala_Lumpur',
  mexicocentral: 'America/Mexico_City',
  newzealandnorth: 'Pacific/Auckland',
  northcentralus: 'America/Chicago',
  northeurope: 'Europe/Dublin',
  norwayeast: 'Europe/Oslo',
  norwaywest: 'Europe/Oslo',
  polandcentral: 'Europe/Warsaw',
  qatarcentral: 'Asia/Qatar',
  southafricanorth: 'Africa/Johannesburg',
  southafricawest: 'Africa/Johannesburg',
  southcentralus: 'America/Chicago',
  southeastasia: 'Asia/Singapore',
  southindia: 'Asia/Kolkata',
  spaincentral: 'Europe/Madrid',
  swedencentral: 'Europe/Stockholm',
  swedensouth: 'Europe/Stockholm',
  switzerlandnorth: 'Europe/Zurich',
  switzerlandwest: 'Europe/Zurich',
  taiwannorth: 'Asia/Taipei',
  taiwannorthwest: 'Asia/Taipei',
  uaecentral: 'Asia/Dubai',
  uaenorth: 'Asia/Dubai',
  uksouth: 'Europe/London',
  ukwest: 'Europe/London',
  usdodcentral: 'America/Chicago',
  usdodeast: 'America/New_York',
  usgovarizona: 'America/Phoenix',
  usgovtexas: 'America/Chicago',
  usgovvirginia: 'America/New_York',
  westcentralus: 'America/Denver',
  westeurope: 'Europe/Amsterdam',
  westindia: 'Asia/Kolkata',
  westus: 'America/Los_Angeles',
  westus2: 'America/Los_Angeles',
  westus3: 'America/Phoenix',
};

/** The time zone of an Azure region, by its name (`westeurope`) or display name (`West Europe`); null when it is new to us. */
export const regionTimeZone = (region: string): string | null =>
  ZONES[region.toLowerCase().replaceAll(' ', '')] ?? null;

/** A calendar or template with its zone named. */
export const inZone = <T extends { readonly timeZone: string }>(
  calendar: T,
  zone: string,
): T & { timeZone: string } => ({ ...calendar, timeZone: zone });

/**
 * The calendar as it is read for a machine of a region: one that says `region` is in that region's time.
 * Throws `invalidInput` when it needs the zone of a region that is not known.
 */
export function inRegion<T extends { readonly timeZone: string }>(calendar: T, region: string): T {
  if (calendar.timeZone !== REGION_ZONE) return calendar;
  const zone = regionTimeZone(region);
  if (zone !== null) return inZone(calendar, zone);
  throw new HoldfastError(
    'invalidInput',
    `The time zone of region ${region} is not known. Name a time zone in the calendar instead of "${REGION_ZONE}".`,
    { target: 'calendar.timeZone' },
  );
}

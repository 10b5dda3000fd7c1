/** The list of all resources of a subscription or a group, with the filters that a sweep by tag or type uses. */
import { ArmError } from '../errors.ts';
import type { ArmApp, ArmReply, ArmRequest } from './app.ts';
import { DISKS, type DiskRecords, SNAPSHOTS } from './diskRecords.ts';
import type { ResourceView } from './ids.ts';
import { MACHINES, type MachineRecords } from './machineRecords.ts';
import type { NetworkRecords } from './networkRecords.ts';
import type { Tags } from './tags.ts';

export interface ListServices {
  app: ArmApp;
  disks: DiskRecords;
  machines: MachineRecords;
  network: NetworkRecords;
}

interface Listed {
  id: string;
  name: string;
  subscription: string;
  group: string;
  location: string;
  tags: Tags;
}

export function resourceListRoutes(services: ListServices): void {
  const list = (request: ArmRequest): ArmReply => {
    const { s, g } = request.params as { s: string; g?: string };
    const keep = filterOf(request.query.get('$filter'));
    const found = all(services).filter(
      ([, resource]) =>
        resource.subscription.toLowerCase() === s.toLowerCase() &&
        (g === undefined || resource.group.toLowerCase() === g.toLowerCase()),
    );
    const views: ResourceView[] = found
      .filter(([type, resource]) => keep(type, resource))
      .map(([type, { id, name, location, tags }]) => ({ id, name, type, location, tags }));
    const { roles } = services.app.core;
    const value = views.filter((view) =>
      roles.allows(request.caller.objectId, `${String(view.type)}/read`, view.id),
    );
    return { status: 200, body: { value } };
  };
  const rights = { action: 'Microsoft.Resources/subscriptions/resources/read', list: true };
  services.app.route('GET', '/subscriptions/{s}/resources', rights, list);
  services.app.route('GET', '/subscriptions/{s}/resourceGroups/{g}/resources', rights, list);
}

function all({ disks, machines, network }: ListServices): [type: string, resource: Listed][] {
  return [
    ...machines.machines.values().map((record): [string, Listed] => [MACHINES, record]),
    ...disks.disks.values().map((record): [string, Listed] => [DISKS, record]),
    ...disks.snapshots
      .filter(({ restorePoint }) => restorePoint === undefined)
      .map((record): [string, Listed] => [SNAPSHOTS, record]),
    ...network.resources
      .values()
      .map((record): [string, Listed] => [`Microsoft.Network/${record.type}`, record]),
  ];
}

/** `resourceType eq 'x'`, `tagName eq 'x'`, `tagName eq 'x' and tagValue eq 'y'`; anything else is refused rather than ignored. */
function filterOf(filter: string | null): (type: string, resource: Listed) => boolean {
  const wanted = new Map<string, string>();
  for (const term of (filter ?? '').split(/\s+and\s+/i).filter((part) => part.trim() !== '')) {
    const match = /^\s*(resourceType|tagName|tagValue)\s+eq\s+'([^']*)'\s*$/i.exec(term);
    if (!match)
      throw new ArmError(
        400,
        'InvalidFilterInQueryString',
        `The simulator does not know the filter '${term}'.`,
      );
    wanted.set((match[1] as string).toLowerCase(), match[2] as string);
  }
  const [type, tagName, tagValue] = ['resourcetype', 'tagname', 'tagvalue'].map((key) => wanted.get(key));
  return (resourceType, resource) => {
    if (type !== undefined && type.toLowerCase() !== resourceType.toLowerCase()) return false;
    if (tagName === undefined) return true;
    const tag = Object.entries(resource.tags).find(([name]) => name.toLowerCase() === tagName.toLowerCase());
    return tag !== undefined && (tagValue === undefined || tag[1] === tagValue);
  };
}

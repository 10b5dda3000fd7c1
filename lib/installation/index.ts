import { startTelemetry, telemetrySettings } from '../telemetry/index.ts';
import type { Installation } from './installation.ts';
import { makeInstallation } from './open.ts';

export type { AzurePorts, Installation, InstalledRepository, RepositoryAccess } from './installation.ts';
export { makeInstallation } from './open.ts';
export { OWNER_TAG } from './ownerTag.ts';
export type { Settings } from './settings.ts';

let installation: Promise<Installation> | undefined;

/** The installation of this process, from its environment. A failure to read the settings is told to every caller anew. */
export function openInstallation(): Promise<Installation> {
  installation ??= startTelemetry(telemetrySettings(process.env))
    .then((telemetry) => makeInstallation(process.env, telemetry))
    .catch((error: unknown) => {
      installation = undefined;
      throw error;
    });
  return installation;
}

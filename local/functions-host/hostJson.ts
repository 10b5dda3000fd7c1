import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { type LogLevel, parseLogLevel } from './log.ts';

/** What this host reads in host.json; everything else in it is for the real one. */
export interface HostSettings {
  routePrefix: string;
  hubName: string;
  maxConcurrentActivities: number;
  maxConcurrentOrchestrators: number;
  defaultVersion: string | undefined;
  /** Milliseconds; undefined for no limit. */
  functionTimeout: number | undefined;
  logLevel: LogLevel;
}

const count = z.number().int().positive();
const hostJson = z.object({
  functionTimeout: z.string().optional(),
  logging: z.object({ logLevel: z.record(z.string(), z.string()).optional() }).optional(),
  extensions: z
    .object({
      http: z.object({ routePrefix: z.string().optional() }).optional(),
      durableTask: z
        .object({
          hubName: z.string().optional(),
          maxConcurrentActivityFunctions: count.optional(),
          maxConcurrentOrchestratorFunctions: count.optional(),
          defaultVersion: z.string().optional(),
        })
        .optional(),
    })
    .optional(),
});

/** Reads `host.json` in the folder of the app; defaults where it or a setting is missing. */
export async function readHostJson(appRoot: string): Promise<HostSettings> {
  const file = join(appRoot, 'host.json');
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '{}';
    throw error;
  });
  try {
    return settingsOf(hostJson.parse(JSON.parse(text)));
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : String(error);
    throw new Error(`${file} cannot be used: ${reason}`, { cause: error });
  }
}

function settingsOf(json: z.infer<typeof hostJson>): HostSettings {
  const durable = json.extensions?.durableTask;
  const perCore = 10 * availableParallelism();
  return {
    routePrefix: (json.extensions?.http?.routePrefix ?? 'api').replace(/^\/+|\/+$/g, ''),
    hubName: fromSettings(durable?.hubName ?? 'TestHubName'),
    maxConcurrentActivities: durable?.maxConcurrentActivityFunctions ?? perCore,
    maxConcurrentOrchestrators: durable?.maxConcurrentOrchestratorFunctions ?? perCore,
    defaultVersion: durable?.defaultVersion,
    functionTimeout: parseTimeout(json.functionTimeout ?? '00:30:00'),
    logLevel: parseLogLevel(json.logging?.logLevel?.['default'] ?? 'information'),
  };
}

/** Replaces `%NAME%` by the setting of that name; throws when there is none. */
export function fromSettings(text: string): string {
  return text.replace(/%([^%]+)%/g, (_, name: string) => {
    const value = process.env[name];
    if (value === undefined) throw new Error(`The setting ${name}, used as %${name}%, is not set.`);
    return value;
  });
}

/** `[d.]hh:mm:ss` in ms; -1 for no limit. */
function parseTimeout(text: string): number | undefined {
  if (text === '-1') return undefined;
  const match = /^(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2})$/.exec(text);
  if (!match) throw new Error(`functionTimeout "${text}" is not a time span like 00:05:00, nor -1.`);
  const [days, hours, minutes, seconds] = match.slice(1).map((part) => Number(part ?? 0));
  return ((((days ?? 0) * 24 + (hours ?? 0)) * 60 + (minutes ?? 0)) * 60 + (seconds ?? 0)) * 1000;
}

/** The few words of a service unit that the simulator obeys. */
import { readFileSync } from 'node:fs';

export interface ServiceUnit {
  /** Commands before the main one, each to end before the next begins. */
  startPre: string[][];
  start: string[];
  environment: Record<string, string>;
  workingDirectory?: string;
  restart: 'no' | 'on-failure' | 'always';
}

/** Reads a unit file. Throws when it has no ExecStart. */
export function readUnit(file: string): ServiceUnit {
  const service = new Map<string, string[]>();
  let section = '';
  const text = readFileSync(file, 'utf8').replaceAll(/\\\r?\n/g, ' ');
  for (const raw of text.split('\n')) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#') || line.startsWith(';')) continue;
    const heading = /^\[(.+)\]$/.exec(line);
    if (heading) section = heading[1] as string;
    const setting = /^([A-Za-z]+)\s*=\s*(.*)$/.exec(line);
    if (!setting || section !== 'Service') continue;
    const [, name, value] = setting as unknown as [string, string, string];
    service.set(name, [...(service.get(name) ?? []), value]);
  }
  const start = service.get('ExecStart')?.at(-1);
  if (!start) throw new Error(`The unit ${file} has no ExecStart.`);
  const environment: Record<string, string> = {};
  for (const given of service.get('EnvironmentFile') ?? [])
    Object.assign(environment, environmentFile(given));
  for (const assignment of (service.get('Environment') ?? []).flatMap(words)) {
    const [name, value] = splitOnce(assignment);
    environment[name] = value;
  }
  const restart = service.get('Restart')?.at(-1);
  const workingDirectory = service.get('WorkingDirectory')?.at(-1)?.replace(/^-/, '');
  return {
    startPre: (service.get('ExecStartPre') ?? []).map(command),
    start: command(start),
    environment,
    ...(workingDirectory === undefined ? {} : { workingDirectory }),
    restart: restart === 'always' || restart === 'on-failure' ? restart : 'no',
  };
}

const command = (text: string) => words(text.replace(/^[-@:+!]+/, ''));

/** Words as systemd splits them: blanks, single and double quotes, backslash. */
function words(text: string): string[] {
  return [...text.matchAll(/(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+/g)].map(([word]) =>
    word.replace(
      /"((?:[^"\\]|\\.)*)"|'([^']*)'|\\(.)/g,
      (_all, double?: string, single?: string, escaped?: string) =>
        double === undefined ? (single ?? escaped ?? '') : double.replace(/\\(.)/g, '$1'),
    ),
  );
}

function environmentFile(given: string): Record<string, string> {
  const optional = given.startsWith('-');
  let text: string;
  try {
    text = readFileSync(given.replace(/^-/, ''), 'utf8');
  } catch (error) {
    if (optional) return {};
    throw error;
  }
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  return Object.fromEntries(
    lines
      .map((line) => splitOnce(line))
      .map(([name, value]) => [name, value.replace(/^(["'])(.*)\1$/, '$2')]),
  );
}

function splitOnce(text: string): [string, string] {
  const at = text.indexOf('=');
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

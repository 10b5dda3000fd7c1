import { Command, CommanderError } from 'commander';
import { type Clock, isHoldfastError, systemClock } from '../lib/model/index.ts';
import packageJson from '../package.json' with { type: 'json' };
import { type ApiClient, createApiClient } from './api.ts';
import { backupCommand } from './commands/backup.ts';
import { pricesCommand } from './commands/estimate.ts';
import { machineCommand } from './commands/machine.ts';
import { choice } from './commands/options.ts';
import { overviewCommand } from './commands/overview.ts';
import { pointCommand } from './commands/point.ts';
import { policyCommand } from './commands/policy.ts';
import { repositoryCommand } from './commands/repository.ts';
import { restoreCommand } from './commands/restore.ts';
import { retentionCommand } from './commands/retention.ts';
import { sessionCommand } from './commands/session.ts';
import { snapshotCommand } from './commands/snapshot.ts';
import { findConnection } from './connection.ts';
import type { Context } from './context.ts';
import { EXIT, type ExitCode, exitCodeOfError } from './exitCodes.ts';
import { FORMATS, type Format } from './output.ts';
import { repoCommand } from './repo/command.ts';
import type { RepoSurroundings } from './repo/surroundings.ts';

/** The world around one run of the program; a test brings its own. */
export interface Surroundings extends RepoSurroundings {
  readonly stdout: Context['stdout'];
  readonly stderr: Context['stderr'];
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Runs one command line and answers with its exit code; never throws and never exits. */
export async function runCli(argv: readonly string[], around: Surroundings): Promise<ExitCode> {
  let url: string | undefined;
  let client: ApiClient | undefined;
  const context: Context = {
    api: () =>
      (client ??= createApiClient(findConnection(url, around.env, around.cwd), around.clock, around.signal)),
    clock: around.clock,
    stdout: around.stdout,
    stderr: around.stderr,
    signal: around.signal,
    color: around.stdout.isTTY === true && !around.env.NO_COLOR,
    format: 'table',
    exitCode: EXIT.ok,
  };
  const program = new Command('holdfast')
    .description('Backup of Azure virtual machines')
    .version(packageJson.version)
    // An option belongs to the command it stands behind: --output of a restore is a file.
    .enablePositionalOptions()
    .showHelpAfterError('(add --help for help)')
    .configureOutput({
      writeOut: (text) => void around.stdout.write(text),
      writeErr: (text) => void around.stderr.write(text),
    })
    .exitOverride()
    .hook('preAction', (program, action) => {
      // What stands behind the verb wins over what stands before it.
      for (const command of lineOf(program, action)) {
        const given = takeGlobalOptions(command);
        context.format = given.output ?? context.format;
        url = given.url ?? url;
      }
    });
  for (const add of [
    overviewCommand,
    machineCommand,
    backupCommand,
    pointCommand,
    snapshotCommand,
    restoreCommand,
    sessionCommand,
    repositoryCommand,
    retentionCommand,
  ]) {
    add(program, context);
  }
  policyCommand(program, context, around);
  pricesCommand(program, context, around);
  repoCommand(program, context, around);
  try {
    everywhere(program);
    await program.parseAsync([...argv], { from: 'user' });
    return context.exitCode;
  } catch (error) {
    return report(error, context);
  }
}

interface GlobalOptions {
  output?: Format;
  url?: string;
}

/** The global options may stand before the noun, before the verb and behind it, where people type them. */
function everywhere(program: Command): void {
  for (const noun of program.commands) {
    for (const command of withInner(noun)) addGlobalOptions(command, noun.name() !== 'repo');
  }
  addGlobalOptions(program, true);
}

const withInner = (command: Command): Command[] => [command, ...command.commands.flatMap(withInner)];

/** The commands from the program to the action: some nouns have a noun of their own (`repo keys list`). */
function lineOf(program: Command, action: Command): Command[] {
  const line: Command[] = [];
  for (let one: Command | null = action; one && one !== program; one = one.parent) line.unshift(one);
  return [program, ...line];
}

/** A command that has its own --output keeps it. Without the service there is no address. */
function addGlobalOptions(command: Command, service: boolean): void {
  if (!command.options.some(({ long }) => long === '--output'))
    command.addOption(choice('-o, --output <format>', 'how to print (default: table)', FORMATS));
  if (service)
    command.option('--url <url>', 'address of the service (or HOLDFAST_URL; the key is HOLDFAST_KEY)');
}

/** Takes the global options out of a command's own, which may go to the service as they are. */
function takeGlobalOptions(command: Command | null): GlobalOptions {
  if (!command) return {};
  const options: GlobalOptions = command.opts();
  const own = command.options.some(({ long, argChoices }) => long === '--output' && !argChoices);
  const { output, url } = options;
  delete options.url;
  if (!own) delete options.output;
  return {
    ...(own || output === undefined ? {} : { output }),
    ...(url === undefined ? {} : { url }),
  };
}

function report(error: unknown, context: Context): ExitCode {
  if (error instanceof CommanderError) {
    // Help and version are no failure; commander has already said what is wrong with the rest.
    return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  }
  if (context.signal.aborted) return EXIT.interrupted;
  if (!isHoldfastError(error)) {
    context.stderr.write(`holdfast: ${error instanceof Error ? error.message : String(error)}\n`);
    return EXIT.failed;
  }
  context.stderr.write(`holdfast: ${error.message}\n`);
  const running =
    error.code === 'previousRunning' ? /[0-9a-hjkmnp-tv-z]{20}/.exec(error.target ?? '')?.[0] : undefined;
  if (running) context.stderr.write(`To follow that session: holdfast session show ${running} --wait\n`);
  return exitCodeOfError(error.code);
}

/** The program on the real world. */
export async function main(argv: readonly string[]): Promise<ExitCode> {
  const interrupt = new AbortController();
  process.once('SIGINT', () => interrupt.abort(new Error('interrupted')));
  // A reader that has seen enough (`| head`) is no failure.
  const onStdoutError = (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT.ok);
    throw error;
  };
  process.stdout.on('error', onStdoutError);
  return runCli(argv, {
    env: process.env,
    cwd: process.cwd(),
    stdin: process.stdin,
    stdout: process.stdout,
    // Of a stream of bytes it is one.
    bytesOut: () => process.stdout.off('error', onStdoutError),
    stderr: process.stderr,
    clock: systemClock,
    signal: interrupt.signal,
  });
}

/**
 * What a script of Run Command does in a simulated guest. There is no shell: a few words are understood, one command a line,
 * and everything else is taken for a command that succeeds and says nothing.
 *
 *   echo <text>                     a line of output
 *   warn <text>                     a line of the error stream
 *   sleep <seconds>                 time passes, of the simulator's clock
 *   write-disk <offset> <text>      bytes on the OS disk, so that a snapshot shows whether it was taken before or after
 *   exit <code>                     ends with this code
 *
 * What a script writes is written when it starts, whatever it sleeps; what comes after its timeout is not.
 */

export interface ScriptOutcome {
  /** From its start to its end, or to its timeout. */
  seconds: number;
  timedOut: boolean;
  exitCode: number;
  output: string;
  error: string;
  writes: { offset: number; text: string }[];
}

/** Azure shows the last 4,096 bytes of each stream. */
const SHOWN_BYTES = 4096;

export function runScript(script: string, timeoutSeconds: number): ScriptOutcome {
  const outcome: ScriptOutcome = {
    seconds: 0,
    timedOut: false,
    exitCode: 0,
    output: '',
    error: '',
    writes: [],
  };
  for (const line of script.split(/\r?\n/)) {
    const [, word = '', rest = ''] = /^\s*(\S+)\s*(.*)$/.exec(line) ?? [];
    if (word === 'echo') outcome.output += `${rest}\n`;
    else if (word === 'warn') outcome.error += `${rest}\n`;
    else if (word === 'exit') {
      outcome.exitCode = Number(rest);
      break;
    } else if (word === 'sleep') {
      outcome.seconds += Number(rest);
      if (outcome.seconds > timeoutSeconds) {
        outcome.seconds = timeoutSeconds;
        outcome.timedOut = true;
        break;
      }
    } else if (word === 'write-disk') {
      const [offset = '0', ...text] = rest.split(' ');
      outcome.writes.push({ offset: Number(offset), text: text.join(' ') });
    }
  }
  outcome.output = outcome.output.slice(-SHOWN_BYTES);
  outcome.error = outcome.error.slice(-SHOWN_BYTES);
  return outcome;
}

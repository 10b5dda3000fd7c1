import { HoldfastError } from '../../lib/model/index.ts';

/** A terminal's input, as `process.stdin` is one. */
export interface PromptInput {
  readonly isTTY?: boolean | undefined;
  setRawMode?(raw: boolean): unknown;
  setEncoding(encoding: 'utf8'): unknown;
  on(event: 'data', listener: (text: string) => void): unknown;
  on(event: 'end', listener: () => void): unknown;
  off(event: 'data', listener: (text: string) => void): unknown;
  off(event: 'end', listener: () => void): unknown;
  resume(): unknown;
  pause(): unknown;
}

const CTRL_C = '\u0003';
const CTRL_D = '\u0004';
const BACKSPACES = new Set(['\b', '\u007f']);

/** Asks on a terminal and answers with the line that is typed, which is never shown. `cancelled` on Ctrl-C. */
export async function askHidden(
  input: PromptInput,
  output: { write(text: string): unknown },
  question: string,
  signal?: AbortSignal,
): Promise<string> {
  input.setEncoding('utf8');
  // First of all: what is typed as soon as the question is seen must not be shown.
  input.setRawMode?.(true);
  output.write(question);
  const typed: string[] = [];
  let listener: (text: string) => void = () => undefined;
  let onEnd: () => void = () => undefined;
  let onAbort: () => void = () => undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      const cancel = () => reject(new HoldfastError('cancelled', 'No password was given.'));
      listener = (text) => {
        for (const character of text) {
          if (character === '\r' || character === '\n') return resolve();
          if (character === CTRL_C || (character === CTRL_D && typed.length === 0)) return cancel();
          if (BACKSPACES.has(character)) typed.pop();
          else if (character >= ' ') typed.push(character);
        }
      };
      onEnd = cancel;
      onAbort = cancel;
      input.on('data', listener);
      input.on('end', onEnd);
      signal?.addEventListener('abort', onAbort, { once: true });
      input.resume();
    });
    return typed.join('');
  } finally {
    input.off('data', listener);
    input.off('end', onEnd);
    signal?.removeEventListener('abort', onAbort);
    input.setRawMode?.(false);
    input.pause();
    output.write('\n');
  }
}

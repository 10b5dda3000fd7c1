import type { ErrorCode, SessionStatus } from '../lib/model/index.ts';

/** Exit codes of `holdfast`; part of its interface. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  notAllowed: 4,
  /** It ran to its end, and something in it needs a look. */
  partly: 5,
  interrupted: 130,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export function exitCodeOfError(code: ErrorCode): ExitCode {
  switch (code) {
    case 'invalidInput':
      return EXIT.usage;
    case 'notFound':
    case 'machineGone':
      return EXIT.notFound;
    case 'unauthorized':
    case 'forbidden':
      return EXIT.notAllowed;
    default:
      return EXIT.failed;
  }
}

/** The exit code of a command that waited for a session. `skipped` did not do what was asked. */
export function exitCodeOfSession(status: SessionStatus): ExitCode {
  switch (status) {
    case 'succeeded':
    case 'running':
      return EXIT.ok;
    case 'warning':
      return EXIT.partly;
    case 'failed':
    case 'cancelled':
    case 'skipped':
      return EXIT.failed;
  }
}

import { stringify } from 'yaml';
import { HoldfastError } from '../model/index.ts';
import { bootScript, PROGRAM_DIR, SETTINGS_DIR } from './bootScript.ts';

export interface CloudInitSettings {
  /** Where the app's API is, without a slash at the end: `https://<app>.azurewebsites.net`. */
  readonly appUrl: string;
  /** What the worker's tokens are for: the app's id URI. */
  readonly audience: string;
}

/** What Azure takes, before base64. */
const MAX_BYTES = 64 * 1024;
/** Safe within single quotes, in a URL's query and in a systemd environment file. */
const PLAIN = /^[A-Za-z0-9._~:/@%-]+$/;

const unit = `[Unit]
Description=Holdfast worker
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
EnvironmentFile=${SETTINGS_DIR}/worker.env
ExecStart=/bin/sh ${PROGRAM_DIR}/boot.sh
Restart=on-failure
RestartSec=5
TimeoutStopSec=30
KillMode=mixed
NoNewPrivileges=true
PrivateTmp=true
ProtectHome=true
ProtectSystem=strict
ReadWritePaths=${PROGRAM_DIR}
LimitCORE=0

[Install]
WantedBy=multi-user.target
`;

/**
 * The cloud-config (plain text, for `customData`) that makes a stock Linux image a worker: settings, boot script, and a unit that
 * runs it at every boot. The same for every worker, and nothing in it is secret: a worker has no right but to ask the app.
 */
export function cloudInit({ appUrl, audience }: CloudInitSettings): string {
  if (!PLAIN.test(appUrl) || !appUrl.startsWith('https://') || appUrl.endsWith('/')) {
    throw new HoldfastError(
      'invalidInput',
      `"${appUrl}" is not the https URL of the app without a slash at its end.`,
    );
  }
  if (!PLAIN.test(audience)) {
    throw new HoldfastError('invalidInput', `"${audience}" cannot be the audience of workers' tokens.`);
  }
  const file = (path: string, permissions: string, content: string) => ({
    path,
    owner: 'root:root',
    permissions,
    content,
  });
  const text = `#cloud-config\n${stringify(
    {
      write_files: [
        file(
          `${SETTINGS_DIR}/worker.env`,
          '0644',
          `HOLDFAST_APP_URL='${appUrl}'\nHOLDFAST_AUDIENCE='${audience}'\n`,
        ),
        file(`${PROGRAM_DIR}/boot.sh`, '0755', bootScript),
        file('/etc/systemd/system/holdfast-worker.service', '0644', unit),
      ],
      runcmd: [
        ['systemctl', 'daemon-reload'],
        ['systemctl', 'enable', '--now', 'holdfast-worker.service'],
      ],
    },
    { lineWidth: 0 },
  )}`;
  if (Buffer.byteLength(text) > MAX_BYTES) {
    throw new HoldfastError(
      'invalidInput',
      `The cloud-config of a worker is larger than ${MAX_BYTES} bytes.`,
    );
  }
  return text;
}

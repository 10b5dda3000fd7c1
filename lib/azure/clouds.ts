/** What differs between the clouds that Azure Resource Manager runs in. */
export interface Cloud {
  /** Without a slash at the end. */
  readonly armEndpoint: string;
  /** What a token for ARM is asked for. */
  readonly armScope: string;
}

const PUBLIC = 'https://management.azure.com';
/** ARM endpoints whose tokens have an audience of their own. */
const SOVEREIGN: Readonly<Record<string, string>> = {
  'https://management.usgovcloudapi.net': 'https://management.usgovcloudapi.net',
  'https://management.chinacloudapi.cn': 'https://management.chinacloudapi.cn',
};

/**
 * The cloud behind an ARM endpoint. An endpoint that is none of Azure's (a local run) is asked with tokens for the public
 * cloud's audience: the SDKs' own default.
 */
export function cloudAt(armEndpoint: string = PUBLIC): Cloud {
  const origin = new URL(armEndpoint).origin;
  return { armEndpoint: origin, armScope: `${SOVEREIGN[origin] ?? PUBLIC}/.default` };
}

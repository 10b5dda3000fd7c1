/** What differs between the clouds that Azure Resource Manager runs in. */
export interface Cloud {
  /** Without a slash at the end. */
  readonly armEndpoint: string;
  /** What a token for ARM is asked for. */
  readonly armScope: string;
  /** Whether a host is one of the cloud's blob services: no other is given a token for storage. */
  isBlobHost(hostname: string): boolean;
}

const PUBLIC = 'https://management.azure.com';
/** ARM endpoints whose tokens have an audience of their own. */
const SOVEREIGN: Readonly<Record<string, string>> = {
  'https://management.usgovcloudapi.net': 'https://management.usgovcloudapi.net',
  'https://management.chinacloudapi.cn': 'https://management.chinacloudapi.cn',
};

/** `account.blob.core.windows.net`; `account.z12.blob.storage.azure.net` where the account has a DNS zone. */
const BLOB_HOSTS: Readonly<Record<string, readonly RegExp[]>> = {
  [PUBLIC]: [
    /^[a-z0-9]{3,24}\.blob\.core\.windows\.net$/,
    /^[a-z0-9]{3,24}\.z\d{1,3}\.blob\.storage\.azure\.net$/,
  ],
  'https://management.usgovcloudapi.net': [/^[a-z0-9]{3,24}\.blob\.core\.usgovcloudapi\.net$/],
  'https://management.chinacloudapi.cn': [/^[a-z0-9]{3,24}\.blob\.core\.chinacloudapi\.cn$/],
};

/**
 * The cloud behind an ARM endpoint. An endpoint that is none of Azure's (a local run) is asked with tokens for the public
 * cloud's audience: the SDKs' own default.
 */
export function cloudAt(armEndpoint: string = PUBLIC): Cloud {
  const { origin, hostname: own } = new URL(armEndpoint);
  const suffixes = BLOB_HOSTS[origin];
  return {
    armEndpoint: origin,
    armScope: `${SOVEREIGN[origin] ?? PUBLIC}/.default`,
    isBlobHost: (hostname) =>
      suffixes === undefined ? hostname === own : suffixes.some((suffix) => suffix.test(hostname)),
  };
}

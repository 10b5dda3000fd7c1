import type { TypedData } from './typedData.ts';

export interface ClientAddresses {
  hubName: string;
  /** Where people reach the management API: `http://localhost:7071`. */
  origin: string;
  systemKey: string;
  /** Where the client of the app reaches it, ending in a slash. */
  rpcBaseUrl: string;
}

const operations: Record<string, string> = {
  sendEventPostUri: '/raiseEvent/{eventName}',
  terminatePostUri: '/terminate?reason={text}',
  rewindPostUri: '/rewind?reason={text}',
  restartPostUri: '/restart',
  suspendPostUri: '/suspend?reason={text}',
  resumePostUri: '/resume?reason={text}',
  statusQueryGetUri: '',
  purgeHistoryDeleteUri: '',
};

/** The management links of one instance. */
export function managementUrls(
  origin: string,
  systemKey: string,
  instanceId: string,
): Record<string, string> {
  const base = `${origin}/runtime/webhooks/durabletask/instances/${instanceId}`;
  const links: Record<string, string> = { id: instanceId };
  for (const [name, path] of Object.entries(operations)) {
    links[name] = `${base}${path}${path.includes('?') ? '&' : '?'}code=${systemKey}`;
  }
  return links;
}

/** What a function with a Durable client gets as that input. */
export function clientPayload(addresses: ClientAddresses): TypedData {
  const { hubName, origin, systemKey, rpcBaseUrl } = addresses;
  const baseUrl = `${origin}/runtime/webhooks/durabletask`;
  const create = `${baseUrl}/orchestrators/{functionName}[/{instanceId}]?code=${systemKey}`;
  return {
    string: JSON.stringify({
      taskHubName: hubName,
      creationUrls: {
        createNewInstancePostUri: create,
        createAndWaitOnNewInstancePostUri: `${create}&timeout={timeoutInSeconds}&pollingInterval={intervalInSeconds}`,
      },
      managementUrls: managementUrls(origin, systemKey, 'INSTANCEID'),
      baseUrl,
      requiredQueryStringParameters: `code=${systemKey}`,
      rpcBaseUrl,
    }),
  };
}

/** `se` of a SAS; one without (a stored policy's) ends when storage says so. */
export function endOfSas(sasUrl: string): Date {
  const end = new Date(new URL(sasUrl).searchParams.get('se') ?? '');
  return Number.isNaN(end.getTime()) ? new Date(8.64e15) : end;
}

/** `account/container`: the account is the host's first label, or the path's first part where the host is an address. */
export function storeName(url: string): string {
  const { hostname, pathname } = new URL(url);
  const path = decodeURIComponent(pathname).replace(/^\/|\/$/g, '');
  return path.includes('/') ? path : `${hostname.split('.')[0]}/${path}`;
}
